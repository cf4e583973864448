import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Concatenation, _ node: Node) {
    let parts = node.operands.map { (place: place($0), width: $0.shape.last) }
    append(ConcatenationStep(op, parts, node.result.shape, target: place(node.result), grain))
  }
}

/// Rows of several tensors side by side.
private final class ConcatenationStep: Step {
  private let parts: [(place: Place, width: Int)]
  private let width: Int
  private let rows: Split
  private let target: Place

  init(
    _ op: Concatenation, _ parts: [(place: Place, width: Int)], _ shape: Shape, target: Place,
    _ grain: TaskGrain
  ) {
    self.parts = parts
    width = shape.last
    rows = Split(shape.rows, into: shape.count / grain.elements)
    self.target = target
    super.init(op.name, taskCount: rows.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    var y = memory.floats(target)
    // By index: without optimization, an array's iterator allocates.
    for index in 0..<parts.count {
      let (place, count) = parts[index]
      let x = memory.floats(place)
      for row in rows.range(task) {
        (y + row * width).update(from: x + row * count, count: count)
      }
      y += count
    }
  }
}
