import CKernels
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: MeanPool, _ node: Node) {
    append(
      MeanPoolStep(
        op, node.operands[0].shape, source: offset(node.operands[0]),
        mask: offset(node.operands[1]), target: offset(node.result)))
  }
}

/// The mean over tokens.
private final class MeanPoolStep: Step {
  private let shape: Shape
  private let source: Int
  private let mask: Int
  private let target: Int

  init(_ op: MeanPool, _ shape: Shape, source: Int, mask: Int, target: Int) {
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
