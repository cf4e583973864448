import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Parameter, _ node: Node) throws(ExecutionError) {
    append(
      op.name, .parameter, [try vector(op.weight), write(node.result)],
      count: node.result.shape.count, [])
  }
}
