import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: DepthToSpace, _ node: Node) {
    append(
      PixelShuffleStep(
        op.name, coarse: node.operands[0].shape, factor: op.factor, isInverse: false,
        source: place(node.operands[0]), target: place(node.result), grain))
  }

  mutating func lower(_ op: SpaceToDepth, _ node: Node) {
    append(
      PixelShuffleStep(
        op.name, coarse: node.result.shape, factor: op.factor, isInverse: true,
        source: place(node.operands[0]), target: place(node.result), grain))
  }
}

/// Depth to space, or its inverse; a task is a band of coarse lines of one item.
private final class PixelShuffleStep: Step {
  private let coarse: Shape
  private let factor: Int
  private let isInverse: Bool
  private let lines: Split
  private let source: Place
  private let target: Place

  init(
    _ op: String, coarse: Shape, factor: Int, isInverse: Bool, source: Place, target: Place,
    _ grain: TaskGrain
  ) {
    self.coarse = coarse
    self.factor = factor
    self.isInverse = isInverse
    lines = Split(coarse[1], into: coarse[1] * coarse[2] * coarse[3] / (2 * grain.elements))
    self.source = source
    self.target = target
    super.init(op, taskCount: coarse[0] * lines.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (item, part) = task.quotientAndRemainder(dividingBy: lines.count)
    let band = lines.range(part)
    let start = item * coarse[1] * coarse[2] * coarse[3]
    let x = memory.floats(source) + start
    let y = memory.floats(target) + start
    let (width, channels) = (Int32(coarse[2]), Int32(coarse[3] / (factor * factor)))
    let (first, end) = (Int32(band.lowerBound), Int32(band.upperBound))
    if isInverse {
      banana_space_to_depth(x, width, channels, Int32(factor), first, end, y)
    } else {
      banana_depth_to_space(x, width, channels, Int32(factor), first, end, y)
    }
  }
}
