import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Slice, _ node: Node) {
    append(
      SliceStep(
        op, rows: node.result.shape.rows, sourceWidth: node.operands[0].shape.last,
        source: place(node.operands[0]), target: place(node.result), grain))
  }
}

/// Some channels of every row.
private final class SliceStep: Step {
  private let op: Slice
  private let rows: Split
  private let sourceWidth: Int
  private let source: Place
  private let target: Place

  init(
    _ op: Slice, rows: Int, sourceWidth: Int, source: Place, target: Place, _ grain: TaskGrain
  ) {
    self.op = op
    self.rows = Split(rows, into: rows * op.count / grain.elements)
    self.sourceWidth = sourceWidth
    self.source = source
    self.target = target
    super.init(op.name, taskCount: self.rows.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let x = memory.floats(source) + op.offset
    let y = memory.floats(target)
    for row in rows.range(task) {
      (y + row * op.count).update(from: x + row * sourceWidth, count: op.count)
    }
  }
}
