import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Scale, _ node: Node) {
    append(
      ScaleStep(
        op, count: node.result.shape.count, source: place(node.operands[0]),
        target: place(node.result), grain))
  }
}

/// Every element times a number, plus another.
private final class ScaleStep: Step {
  private let factor: Float
  private let offset: Float
  private let split: Split
  private let source: Place
  private let target: Place

  init(_ op: Scale, count: Int, source: Place, target: Place, _ grain: TaskGrain) {
    factor = op.factor
    offset = op.offset
    split = Split(count, into: count / grain.elements, multiple: 16)
    self.source = source
    self.target = target
    super.init(op.name, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let range = split.range(task)
    banana_scale(
      memory.floats(source) + range.lowerBound, range.count, factor, offset,
      memory.floats(target) + range.lowerBound)
  }
}
