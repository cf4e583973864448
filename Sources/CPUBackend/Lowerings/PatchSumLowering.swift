import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: PatchSum, _ node: Node) {
    let x = node.operands[0]
    append(
      PatchSumStep(
        op, x.shape, node.result.shape, source: place(x), target: place(node.result), grain,
        kernels))
  }
}

/// Sums of what the pixels under a kernel have for its places; a task is a band of lines of one
/// item.
private final class PatchSumStep: Step {
  private let op: PatchSum
  /// `[batch, y, x, place, channel]`, the last two in one.
  private let shape: Shape
  private let lines: PictureLines
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: PatchSum, _ shape: Shape, _ result: Shape, source: Place, target: Place,
    _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.op = op
    self.shape = shape
    lines = PictureLines(result, grain)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: lines.taskCount)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (start, band) = lines[task]
    let item = start / (lines.shape[1] * lines.shape[2] * lines.shape[3])
    let (columns, channels) = (lines.shape[2], lines.shape[3])
    let source = memory.floats(self.source) + item * shape[1] * shape[2] * shape[3]
    let target = memory.floats(self.target) + start
    for y in band {
      let line = target + y * columns * channels
      line.update(repeating: 0, count: columns * channels)
      for x in 0..<columns { add(at: y, x, of: source, to: line + x * channels) }
    }
  }

  private func add(
    at y: Int, _ x: Int, of source: UnsafePointer<Float>, to sum: UnsafeMutablePointer<Float>
  ) {
    let walk = op.convolution
    let (height, width) = (shape[1] * walk.upsampling, shape[2] * walk.upsampling)
    let channels = shape[3] / op.places
    let top = y * walk.stride - walk.paddingTop
    let left = x * walk.stride - walk.paddingLeft
    for ky in max(0, -top)..<max(0, -top, min(walk.kernelHeight, height - top)) {
      let line = (top + ky) / walk.upsampling * shape[2]
      for kx in max(0, -left)..<max(0, -left, min(walk.kernelWidth, width - left)) {
        let pixel = line + (left + kx) / walk.upsampling
        let place = ky * walk.kernelWidth + kx
        kernels.pointee.add(
          sum, source + pixel * shape[3] + place * channels, channels, sum)
      }
    }
  }
}
