import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Scale, _ node: Node) {
    append(
      op.name, .scale, [read(node.operands[0]), write(node.result)],
      count: node.result.shape.count, [op.factor.bitPattern, op.offset.bitPattern])
  }
}
