import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: DepthToSpace, _ node: Node) {
    append(
      PixelShuffleStep(
        op.name, banana_depth_to_space, factor: op.factor, packed: node.operands[0].shape,
        source: place(node.operands[0]), target: place(node.result), grain))
  }
}

/// Channels become pixels, or pixels channels; a task is a band of lines of the smaller grid of one
/// item.
final class PixelShuffleStep: Step {
  /// Source, places in a line, channels of a pixel, factor, first line, end of lines, target.
  typealias Kernel = (
    UnsafePointer<Float>, Int32, Int32, Int32, Int32, Int32, UnsafeMutablePointer<Float>
  ) -> Void

  private let kernel: Kernel
  private let factor: Int
  private let lines: PictureLines
  private let source: Place
  private let target: Place

  /// - Parameter packed: `[batch, y, x, factor * factor * channel]`, the source's or the target's.
  init(
    _ name: String, _ kernel: @escaping Kernel, factor: Int, packed: Shape, source: Place,
    target: Place, _ grain: TaskGrain
  ) {
    self.kernel = kernel
    self.factor = factor
    lines = PictureLines(packed, grain)
    self.source = source
    self.target = target
    super.init(name, taskCount: lines.taskCount)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (start, band) = lines[task]
    kernel(
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
