import Execution
import Graph
import TensorTypes

extension Lowering {
  /// A dispatch for each part of the table.
  mutating func lower(_ op: Embedding, _ node: Node) throws(ExecutionError) {
    guard node.operands.count == 1 else {
      throw .unsupported(op: op.name, reason: "no shader reads the vectors of words; use the CPU")
    }
    let table = try weights.matrix(op.table)
    for part in table.parts {
      append(
        op.name, .embedding, constants: [table.format],
        [read(node.operands[0]), table.operand(part), write(node.result)],
        count: node.result.shape.count,
        [
          UInt32(op.table.shape[1]), UInt32(part.rows.lowerBound), UInt32(part.rows.count),
          UInt32(table.group), UInt32(part.scales / 4),
        ])
    }
  }
}
