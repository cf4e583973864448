import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Concatenation, _ node: Node) {
    var offset = 0
    for operand in node.operands {
      let width = operand.shape.last
      let columns = Columns(
        count: width, source: width, from: 0, target: node.result.shape.last, to: offset)
      append(
        op.name, .concatenation, [read(operand), write(node.result)], count: operand.shape.count,
        columns.arguments)
      offset += width
    }
  }
}
