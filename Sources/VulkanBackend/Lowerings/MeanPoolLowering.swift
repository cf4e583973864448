import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: MeanPool, _ node: Node) {
    let shape = node.operands[0].shape
    append(
      op.name, .meanPool,
      [read(node.operands[0]), read(node.operands[1]), write(node.result)],
      count: node.result.shape.count, [UInt32(shape[1]), UInt32(shape[2])])
  }
}
