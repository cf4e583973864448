import Execution
import Graph
import TensorTypes

extension Lowering {
  /// Borders that lines cross, then those between lines, in place.
  mutating func lower(_ op: Fold, _ node: Node) {
    let shape = node.result.shape
    for (source, pixels, stride) in [
      (node.operands[0], shape[2], shape[3]), (node.result, shape[1], shape[3] * shape[2]),
    ] {
      append(
        op.name, .fold, [read(source), table(of: node), write(node.result)], count: shape.count,
        [UInt32(pixels), UInt32(stride), UInt32(op.patch), UInt32(op.overlap)])
    }
  }
}
