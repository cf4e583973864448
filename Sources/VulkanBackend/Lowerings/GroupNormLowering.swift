import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: GroupNorm, _ node: Node) throws(ExecutionError) {
    let shape = node.result.shape
    let flags: UInt32 = (op.weight == nil ? 0 : 1) | (op.bias == nil ? 0 : 2)
    append(
      Step(
        op.name, .groupNorm,
        [read(node.operands[0]), try vector(op.weight), try vector(op.bias), write(node.result)],
        [
          UInt32(shape[0]), UInt32(shape.rows / max(1, shape[0])), UInt32(shape.last),
          UInt32(shape.last / op.groups), flags, op.activation.code, op.epsilon.bitPattern,
        ], groups: shape[0] * op.groups))
  }
}
