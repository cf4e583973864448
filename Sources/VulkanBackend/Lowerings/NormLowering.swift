import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Norm, _ node: Node) throws(ExecutionError) {
    let shape = node.result.shape
    var flags: UInt32 = op.kind == .layer ? 1 : 0
    if op.weight != nil { flags |= 2 }
    if op.bias != nil { flags |= 4 }
    if op.isModulated { flags |= 8 }
    let operands = [
      read(node.operands[0]), try vector(op.weight), try vector(op.bias),
      op.isModulated ? read(node.operands[1]) : .absent,
      op.isModulated ? read(node.operands[2]) : .absent, write(node.result),
    ]
    append(
      Step(
        op.name, .norm, operands,
        [
          UInt32(shape.rows), UInt32(shape.last), UInt32(shape.rows / max(1, shape[0])), flags,
          op.activation.code, op.epsilon.bitPattern,
        ], groups: shape.rows))
  }
}
