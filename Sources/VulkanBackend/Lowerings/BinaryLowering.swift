import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Binary, _ node: Node) {
    let (shape, other) = (node.result.shape, node.operands[1].shape)
    var (width, itemCount) = (shape.last, 0)
    if other == shape {
      width = shape.count
    } else if other.rank == 2 {
      itemCount = shape.count / shape[0]
    }
    append(
      op.name, .binary,
      [read(node.operands[0]), read(node.operands[1]), write(node.result)], count: shape.count,
      [UInt32(width), UInt32(itemCount), op == .multiply ? 1 : 0])
  }
}
