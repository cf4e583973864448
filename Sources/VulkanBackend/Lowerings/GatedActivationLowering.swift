import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: GatedActivation, _ node: Node) {
    let shape = node.result.shape
    append(
      op.name, .gatedActivation, [read(node.operands[0]), write(node.result)], count: shape.count,
      [UInt32(shape.last), op.activation.code])
  }
}
