import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: SpaceToDepth, _ node: Node) {
    append(
      SpaceToDepthStep(
        op, node.result.shape, source: place(node.operands[0]), target: place(node.result), grain))
  }
}

/// Pixels become channels; a task is a band of the result's lines of one item.
private final class SpaceToDepthStep: Step {
  private let factor: Int
  private let lines: PictureLines
  private let source: Place
  private let target: Place

  init(_ op: SpaceToDepth, _ shape: Shape, source: Place, target: Place, _ grain: TaskGrain) {
    factor = op.factor
    lines = PictureLines(shape, grain)
    self.source = source
    self.target = target
    super.init(op.name, taskCount: lines.taskCount)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (start, band) = lines[task]
    banana_space_to_depth(
      memory.floats(source) + start, Int32(lines.shape[2]),
      Int32(lines.shape[3] / (factor * factor)), Int32(factor), Int32(band.lowerBound),
      Int32(band.upperBound), memory.floats(target) + start)
  }
}
