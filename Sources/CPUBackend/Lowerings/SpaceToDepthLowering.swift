import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: SpaceToDepth, _ node: Node) {
    append(
      PixelShuffleStep(
        op.name, banana_space_to_depth, factor: op.factor, packed: node.result.shape,
        source: place(node.operands[0]), target: place(node.result), grain))
  }
}
