import Execution
import Graph
import TensorTypes

extension Lowering {
  /// A dispatch for each part of the table, and one for rows that the host gives.
  mutating func lower(_ op: Embedding, _ node: Node) throws(ExecutionError) {
    let table = try weights.matrix(op.table)
    for part in table.parts {
      append(
        op, node, format: table.format, table.operand(part), rows: part.rows,
        group: table.group, scales: part.scales)
    }
    if node.operands.count == 2 {
      let (first, count) = (op.table.shape[0], node.operands[1].shape[0])
      // f32, as plain tables may be.
      append(op, node, format: 0, read(node.operands[1]), rows: first..<first + count)
    }
  }

  private mutating func append(
    _ op: Embedding, _ node: Node, format: UInt32, _ table: Operand, rows: Range<Int>,
    group: Int = 0, scales: Int = 0
  ) {
    append(
      op.name, .embedding, constants: [format],
      [read(node.operands[0]), table, write(node.result)], count: node.result.shape.count,
      [
        UInt32(op.table.shape[1]), UInt32(rows.lowerBound), UInt32(rows.count), UInt32(group),
        UInt32(scales / 4),
      ])
  }
}
