import CKernels
import Execution
import Graph
import TensorTypes

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
}

extension banana_linear_f32: ProductArguments {
  static var formatName: String { "f32" }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel {
    kernels.pointee.linear_f32
  }
}

extension banana_linear_int8: ProductArguments {
  static var formatName: String { "int8" }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel {
    kernels.pointee.linear_int8
  }
}

extension banana_linear_int4: ProductArguments {
  static var formatName: String { "int4" }
  static func kernel(of kernels: UnsafePointer<banana_kernels>) -> Kernel {
    kernels.pointee.linear_int4
  }
}

/// A linear, a matmul, or a convolution that reads its input in place.
final class MatrixProductStep<Arguments: ProductArguments>: Step {
  private let arguments: Arguments
  private let tiling: Tiling
  private let epilogue: PlacedEpilogue
  private let kernel: Arguments.Kernel
  private let place: (inout Arguments, Memory) -> Void

  /// - Parameter place: Points the arguments at what they multiply.
  init(
    _ op: String, _ arguments: Arguments, _ tiling: Tiling, _ epilogue: PlacedEpilogue,
    _ kernels: UnsafePointer<banana_kernels>, place: @escaping (inout Arguments, Memory) -> Void
  ) {
    self.arguments = arguments
    self.tiling = tiling
    self.epilogue = epilogue
    self.place = place
    kernel = Arguments.kernel(of: kernels)
    super.init("\(op) \(Arguments.formatName)", taskCount: tiling.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    var placed = arguments
    place(&placed, memory)
    placed.epilogue = epilogue.placed(memory)
    let (rows, blocks) = tiling[task]
    kernel(
      &placed, Int32(rows.lowerBound), Int32(rows.upperBound), Int32(blocks.lowerBound),
      Int32(blocks.upperBound))
  }
}

/// What follows a matrix product, with places in memory instead of pointers.
struct PlacedEpilogue {
  private var arguments = banana_epilogue()
  private let target: Place
  private let inner: Place?
  private let up: Place?
  private let gate: Place?
  private let residual: Place?

  init(
    _ plan: Plan, _ node: Node, bias: UnsafePointer<Float>? = nil, form: Epilogue = Epilogue()
  ) {
    let shape = node.result.shape
    target = plan[node.result]
    inner = form.hasUpdate ? plan[node.operands[1]] : nil
    up = form.hasUpdate ? plan[node.operands[2]] : nil
    gate = form.hasGate ? plan[node.operands[form.gateIndex]] : nil
    residual = form.hasResidual ? plan[node.operands[node.operands.count - 1]] : nil
    arguments.bias = bias
    arguments.activation = form.activation.code
    arguments.y_stride = shape.last
    arguments.rank = form.hasUpdate ? Int32(node.operands[1].shape.last) : 0
    arguments.residual_stride = shape.last
    arguments.gate_stride = shape.last
    arguments.gate_rows =
      form.hasGate
      ? Int32(Self.gateRows(node.operands[form.gateIndex].shape, over: shape)) : 1
  }

  /// How many rows of the result share a row of the gate.
  private static func gateRows(_ gate: Shape, over shape: Shape) -> Int {
    if gate == shape { return 1 }
    return max(1, gate.rank == 1 ? shape.rows : shape.rows / shape[0])
  }

  func placed(_ memory: Memory) -> banana_epilogue {
    var placed = arguments
    placed.y = memory.floats(target)
    placed.inner = memory.floats(inner)
    placed.up = memory.floats(up)
    placed.gate = memory.floats(gate)
    placed.residual = memory.floats(residual)
    return placed
  }
}

/// A matrix product's result cut into rectangles of rows and of blocks of 16 outputs.
struct Tiling {
  let rows: Split
  let blocks: Split

  var count: Int { rows.count * blocks.count }

  init(rows m: Int, outputs n: Int, inputs k: Int, _ grain: TaskGrain) {
    let tasks = max(1, min(64, m * n * k / grain.multiplyAdds))
    // Rows are cut first where there are many: a row band reads its input once, and all weights
    // from the second-level cache.
    rows = Split(m, into: min(tasks, max(1, m / 96)), multiple: 24)
    blocks = Split(BlockLayout.blocks(of: n), into: tasks / rows.count, multiple: 4)
  }

  subscript(task: Int) -> (rows: Range<Int>, blocks: Range<Int>) {
    (rows.range(task / blocks.count), blocks.range(task % blocks.count))
  }
}

/// Rows that lie one after another.
func contiguousRows(stride: Int, length: Int) -> banana_rows {
  var rows = banana_rows()
  rows.row_stride = stride
  rows.segments = 1
  rows.segment_length = Int32(length)
  return rows
}
