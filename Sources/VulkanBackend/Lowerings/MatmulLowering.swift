import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Matmul, _ node: Node) {
    let (x, rows) = (node.operands[0], node.result.shape.rows)
    append(
      Step(
        op.name, .matmul, [read(x), read(node.operands[1]), write(node.result)],
        [UInt32(rows), UInt32(op.outputs), UInt32(x.shape.last)],
        groups: ProductTile.count(rows: rows, outputs: op.outputs)))
  }
}
