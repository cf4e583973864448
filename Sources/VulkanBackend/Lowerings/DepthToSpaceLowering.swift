import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: DepthToSpace, _ node: Node) {
    append(
      op.name, .depthToSpace, [read(node.operands[0]), write(node.result)],
      count: node.result.shape.count, pixelArguments(fine: node.result.shape, op.factor))
  }

  func pixelArguments(fine: Shape, _ factor: Int) -> [UInt32] {
    [fine[1], fine[2], fine[3], factor].map { UInt32($0) }
  }
}
