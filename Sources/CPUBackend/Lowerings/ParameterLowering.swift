import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Parameter, _ node: Node) throws(ExecutionError) {
    append(
      ParameterStep(
        op.name, source: try weights.vector(op.weight), target: place(node.result),
        count: node.result.shape.count))
  }
}

/// A stored tensor into the arena.
private final class ParameterStep: Step {
  private let source: UnsafePointer<Float>
  private let target: Place
  private let count: Int

  init(_ op: String, source: UnsafePointer<Float>, target: Place, count: Int) {
    self.source = source
    self.target = target
    self.count = count
    super.init(op, taskCount: 1)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    memory.floats(target).update(from: source, count: count)
  }
}
