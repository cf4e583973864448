import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: MeanPool, _ node: Node) {
    append(
      MeanPoolStep(
        op, node.operands[0].shape, source: place(node.operands[0]),
        mask: place(node.operands[1]), target: place(node.result)))
  }
}

/// The mean over tokens.
private final class MeanPoolStep: Step {
  private let shape: Shape
  private let source: Place
  private let mask: Place
  private let target: Place

  init(_ op: MeanPool, _ shape: Shape, source: Place, mask: Place, target: Place) {
    self.shape = shape
    self.source = source
    self.mask = mask
    self.target = target
    super.init(op.name, taskCount: shape[0])
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (tokens, width) = (shape[1], shape[2])
    banana_mean_pool(
      memory.floats(source) + task * tokens * width, memory.floats(mask) + task * tokens,
      Int32(tokens), Int32(width), memory.floats(target) + task * width)
  }
}
