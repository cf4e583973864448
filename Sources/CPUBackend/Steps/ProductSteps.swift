import CKernels

/// Where a matrix product's left operand lies.
enum OperandPlace {
  case arena(Int)
  case scratch
}

/// A linear, a convolution or a product of two values in f32.
final class Float32ProductStep: Step {
  private let arguments: UnsafeMutablePointer<banana_linear_f32>
  private let tiling: Tiling
  private let epilogue: ArenaEpilogue
  private let source: OperandPlace
  private let weights: Int?
  private let kernels: UnsafePointer<banana_kernels>

  /// - Parameter weights: Where the right operand lies in the arena; nil if `arguments` say it.
  init(
    _ name: String, _ arguments: banana_linear_f32, _ tiling: Tiling, _ epilogue: ArenaEpilogue,
    source: OperandPlace, weights: Int?, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = .allocate(capacity: 1)
    self.arguments.initialize(to: arguments)
    self.tiling = tiling
    self.epilogue = epilogue
    self.source = source
    self.weights = weights
    self.kernels = kernels
    super.init("\(name) f32", taskCount: tiling.count)
  }

  deinit { arguments.deallocate() }

  override func place(_ memory: Memory) {
    switch source {
    case .arena(let offset): arguments.pointee.a = UnsafePointer(memory.floats(offset))
    case .scratch:
      arguments.pointee.a = UnsafeRawPointer(memory.scratch.operand)
        .assumingMemoryBound(to: Float.self)
    }
    if let weights { arguments.pointee.w = UnsafePointer(memory.floats(weights)) }
    arguments.pointee.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    let (rows, blocks) = tiling[task]
    kernels.pointee.linear_f32(
      arguments, Int32(rows.lowerBound), Int32(rows.upperBound), Int32(blocks.lowerBound),
      Int32(blocks.upperBound))
  }
}

/// A linear or a convolution on the quantized operand in scratch.
final class Int8ProductStep: Step {
  private let arguments: UnsafeMutablePointer<banana_linear_int8>
  private let tiling: Tiling
  private let epilogue: ArenaEpilogue
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ name: String, _ arguments: banana_linear_int8, _ tiling: Tiling, _ epilogue: ArenaEpilogue,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = .allocate(capacity: 1)
    self.arguments.initialize(to: arguments)
    self.tiling = tiling
    self.epilogue = epilogue
    self.kernels = kernels
    super.init("\(name) int8", taskCount: tiling.count)
  }

  deinit { arguments.deallocate() }

  override func place(_ memory: Memory) {
    arguments.pointee.a = UnsafePointer(memory.scratch.operand)
    arguments.pointee.row_scale = UnsafePointer(memory.scratch.scales)
    arguments.pointee.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    let (rows, blocks) = tiling[task]
    kernels.pointee.linear_int8(
      arguments, Int32(rows.lowerBound), Int32(rows.upperBound), Int32(blocks.lowerBound),
      Int32(blocks.upperBound))
  }
}

/// A linear with int4 weights on the quantized operand in scratch.
final class Int4ProductStep: Step {
  private let arguments: UnsafeMutablePointer<banana_linear_int4>
  private let tiling: Tiling
  private let epilogue: ArenaEpilogue
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ name: String, _ arguments: banana_linear_int4, _ tiling: Tiling, _ epilogue: ArenaEpilogue,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = .allocate(capacity: 1)
    self.arguments.initialize(to: arguments)
    self.tiling = tiling
    self.epilogue = epilogue
    self.kernels = kernels
    super.init("\(name) int4", taskCount: tiling.count)
  }

  deinit { arguments.deallocate() }

  override func place(_ memory: Memory) {
    arguments.pointee.a = UnsafeRawPointer(memory.scratch.operand)
      .assumingMemoryBound(to: Int8.self)
    arguments.pointee.group_sums = UnsafePointer(memory.scratch.sums)
    arguments.pointee.row_scale = UnsafePointer(memory.scratch.scales)
    arguments.pointee.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    let (rows, blocks) = tiling[task]
    kernels.pointee.linear_int4(
      arguments, Int32(rows.lowerBound), Int32(rows.upperBound), Int32(blocks.lowerBound),
      Int32(blocks.upperBound))
  }
}
