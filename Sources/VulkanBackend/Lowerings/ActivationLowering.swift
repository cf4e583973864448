import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Activation, _ node: Node) {
    append(
      op.name, .activation, [read(node.operands[0]), write(node.result)],
      count: node.result.shape.count, [op.code])
  }
}
