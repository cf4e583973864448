import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: SpaceToDepth, _ node: Node) {
    let fine = node.operands[0].shape
    append(
      op.name, .spaceToDepth, [read(node.operands[0]), write(node.result)], count: fine.count,
      pixelArguments(fine: fine, op.factor))
  }
}
