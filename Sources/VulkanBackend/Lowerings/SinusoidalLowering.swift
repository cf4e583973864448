import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Sinusoidal, _ node: Node) {
    let pairs = op.width / 2
    append(
      op.name, .sinusoidal, [read(node.operands[0]), table(of: node), write(node.result)],
      count: node.result.shape[0] * pairs, [UInt32(pairs), op.scale.bitPattern])
  }
}
