import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Binary, _ node: Node) {
    append(
      BinaryStep(
        op, node.result.shape, other: node.operands[1].shape, a: place(node.operands[0]),
        b: place(node.operands[1]), target: place(node.result), grain, kernels))
  }
}

/// A sum or a product, the second operand possibly a row that is repeated.
private final class BinaryStep: Step {
  private let op: Binary
  private let rows: Split
  private let width: Int
  /// How many rows of the result share a row of the second operand; nil if each has its own.
  private let sharedRows: Int?
  private let places: (a: Place, b: Place, target: Place)
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Binary, _ shape: Shape, other: Shape, a: Place, b: Place, target: Place,
    _ grain: TaskGrain,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.op = op
    self.kernels = kernels
    places = (a, b, target)
    if other == shape {
      // One long row, cut anywhere.
      sharedRows = nil
      width = 1
      rows = Split(shape.count, into: shape.count / grain.elements, multiple: 16)
    } else {
      sharedRows = max(1, other.rank == 1 ? shape.rows : shape.rows / shape[0])
      width = shape.last
      rows = Split(shape.rows, into: shape.count / grain.elements)
    }
    super.init(op.name, taskCount: rows.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let a = memory.floats(places.a)
    let b = memory.floats(places.b)
    let y = memory.floats(places.target)
    let range = rows.range(task)
    guard let sharedRows else {
      apply(a + range.lowerBound, b + range.lowerBound, range.count, y + range.lowerBound)
      return
    }
    for row in range {
      apply(a + row * width, b + row / sharedRows * width, width, y + row * width)
    }
  }

  private func apply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    switch op {
    case .add: kernels.pointee.add(a, b, count, y)
    case .multiply: kernels.pointee.multiply(a, b, count, y)
    }
  }
}
