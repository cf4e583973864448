import CKernels

/// What a matrix product's kernel is told.
protocol ProductArguments {
  /// Computes rows `[row0, row1)` and blocks of 16 outputs `[block0, block1)`.
  typealias Kernel =
    (UnsafePointer<Self>, _ row0: Int32, _ row1: Int32, _ block0: Int32, _ block1: Int32) -> Void

  static var formatName: String { get }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel
  /// Outputs.
  var n: Int32 { get }
  var epilogue: banana_epilogue { get set }
  /// Points at the left operand, which lies in scratch.
  mutating func place(_ scratch: Scratch)
}

extension banana_linear_f32: ProductArguments {
  static var formatName: String { "f32" }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel {
    kernels.pointee.linear_f32
  }

  mutating func place(_ scratch: Scratch) {
    a = UnsafeRawPointer(scratch.operand).assumingMemoryBound(to: Float.self)
  }
}

extension banana_linear_int8: ProductArguments {
  static var formatName: String { "int8" }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel {
    kernels.pointee.linear_int8
  }

  mutating func place(_ scratch: Scratch) {
    a = UnsafePointer(scratch.operand)
    row_scale = UnsafePointer(scratch.scales)
  }
}

extension banana_linear_int4: ProductArguments {
  static var formatName: String { "int4" }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel {
    kernels.pointee.linear_int4
  }

  mutating func place(_ scratch: Scratch) {
    a = UnsafeRawPointer(scratch.operand).assumingMemoryBound(to: Int8.self)
    group_sums = UnsafePointer(scratch.sums)
    row_scale = UnsafePointer(scratch.scales)
  }
}

/// A linear, a convolution or a product of two values.
final class ProductStep<Arguments: ProductArguments>: Step {
  private let arguments: UnsafeMutablePointer<Arguments>
  private let tiling: Tiling
  private let epilogue: ArenaEpilogue
  private let kernel: Arguments.Kernel
  private let placeOperands: (inout Arguments, Memory) -> Void

  /// - Parameter placeOperands: Points the arguments at what they multiply.
  init(
    _ name: String, _ arguments: Arguments, _ tiling: Tiling, _ epilogue: ArenaEpilogue,
    _ kernels: UnsafePointer<banana_kernels>,
    placeOperands: @escaping (inout Arguments, Memory) -> Void = { $0.place($1.scratch) }
  ) {
    self.arguments = .allocate(capacity: 1)
    self.arguments.initialize(to: arguments)
    self.tiling = tiling
    self.epilogue = epilogue
    self.placeOperands = placeOperands
    kernel = Arguments.kernel(of: kernels)
    super.init("\(name) \(Arguments.formatName)", taskCount: tiling.count)
  }

  deinit { arguments.deallocate() }

  override func place(_ memory: Memory) {
    placeOperands(&arguments.pointee, memory)
    arguments.pointee.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    let (rows, blocks) = tiling[task]
    kernel(
      arguments, Int32(rows.lowerBound), Int32(rows.upperBound), Int32(blocks.lowerBound),
      Int32(blocks.upperBound))
  }
}
