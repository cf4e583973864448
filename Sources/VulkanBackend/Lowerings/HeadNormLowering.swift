import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: HeadNorm, _ node: Node) throws(ExecutionError) {
    let shape = node.result.shape
    let positions = op.grid.map { $0.height * $0.width } ?? 0
    append(
      op.name, .headNorm,
      [
        read(node.operands[0]), try vector(op.weight), op.grid == nil ? .absent : table(of: node),
        write(node.result),
      ], count: shape.rows * op.heads,
      [
        UInt32(op.heads), UInt32(shape.last / op.heads), UInt32(positions),
        op.weight == nil ? 0 : 1, op.epsilon.bitPattern,
      ])
  }
}
