import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: DepthToSpace, _ node: Node) {
    append(
      DepthToSpaceStep(
        op, node.operands[0].shape, source: place(node.operands[0]), target: place(node.result),
        grain))
  }
}

/// Channels become pixels; a task is a band of source lines of one item.
private final class DepthToSpaceStep: Step {
  private let factor: Int
  private let lines: PictureLines
  private let source: Place
  private let target: Place

  init(_ op: DepthToSpace, _ shape: Shape, source: Place, target: Place, _ grain: TaskGrain) {
    factor = op.factor
    lines = PictureLines(shape, grain)
    self.source = source
    self.target = target
    super.init(op.name, taskCount: lines.taskCount)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (start, band) = lines[task]
    banana_depth_to_space(
      memory.floats(source) + start, Int32(lines.shape[2]),
      Int32(lines.shape[3] / (factor * factor)), Int32(factor), Int32(band.lowerBound),
      Int32(band.upperBound), memory.floats(target) + start)
  }
}

/// The lines of pictures `[batch, y, x, channel]` cut into bands, each within one item.
struct PictureLines {
  let shape: Shape
  private let bands: Split

  init(_ shape: Shape, _ grain: TaskGrain) {
    self.shape = shape
    bands = Split(shape[1], into: shape[1] * shape[2] * shape[3] / (2 * grain.elements))
  }

  var taskCount: Int { shape[0] * bands.count }

  /// The first element of a task's item, and the item's lines that are its band.
  subscript(task: Int) -> (start: Int, band: Range<Int>) {
    let (item, part) = task.quotientAndRemainder(dividingBy: bands.count)
    return (item * shape[1] * shape[2] * shape[3], bands.range(part))
  }
}
