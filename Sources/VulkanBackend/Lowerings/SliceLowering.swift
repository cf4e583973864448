import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Slice, _ node: Node) {
    let columns = Columns(
      count: op.count, source: node.operands[0].shape.last, from: op.offset, target: op.count,
      to: 0)
    append(
      op.name, .slice, [read(node.operands[0]), write(node.result)],
      count: node.result.shape.count, columns.arguments)
  }
}

/// Columns of rows of one width that become columns of rows of another.
struct Columns {
  let count: Int
  let source: Int
  let from: Int
  let target: Int
  let to: Int

  var arguments: [UInt32] { [count, source, from, target, to].map { UInt32($0) } }
}
