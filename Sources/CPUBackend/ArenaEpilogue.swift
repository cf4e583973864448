import CKernels
import Execution
import Graph
import TensorTypes

/// What follows a matrix product, with offsets in the arena in place of pointers.
struct ArenaEpilogue {
  private var arguments = banana_epilogue()
  private let target: Int
  private let inner: Int?
  private let up: Int?
  private let gate: Int?
  private let residual: Int?

  /// - Parameter shape: The result's shape, innermost axis last.
  init(
    _ plan: Plan, _ node: Node, bias: UnsafePointer<Float>?, form: Epilogue
  ) {
    let shape = node.result.shape
    target = plan[node.result].offset
    inner = form.hasUpdate ? plan[node.operands[1]].offset : nil
    up = form.hasUpdate ? plan[node.operands[2]].offset : nil
    gate = form.hasGate ? plan[node.operands[form.gateIndex]].offset : nil
    residual = form.hasResidual ? plan[node.operands[node.operands.count - 1]].offset : nil
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
    placed.inner = inner.map { UnsafePointer(memory.floats($0)) }
    placed.up = up.map { UnsafePointer(memory.floats($0)) }
    placed.gate = gate.map { UnsafePointer(memory.floats($0)) }
    placed.residual = residual.map { UnsafePointer(memory.floats($0)) }
    return placed
  }
}

/// A matrix product's result cut into rectangles of rows and of blocks of 16 outputs.
struct Tiling {
  let rows: Split
  let blocks: Split

  var count: Int { rows.count * blocks.count }

  /// - Parameter multiplyAddsPerTask: Enough that handing a task over costs little beside it.
  init(rows m: Int, outputs n: Int, inputs k: Int, multiplyAddsPerTask: Int = 2_000_000) {
    let tasks = max(1, min(64, m * n * k / multiplyAddsPerTask))
    // Rows are cut first where there are many: a row band reads its input once, and all weights
    // from the second-level cache.
    rows = Split(m, into: min(tasks, max(1, m / 96)), multiple: 24)
    blocks = Split(BlockLayout.blocks(of: n), into: tasks / rows.count, multiple: 4)
  }

  subscript(task: Int) -> (rows: Range<Int>, blocks: Range<Int>) {
    (rows.range(task / blocks.count), blocks.range(task % blocks.count))
  }
}
