import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: GatedActivation, _ node: Node) {
    append(
      GatedActivationStep(
        op, node.result.shape, source: place(node.operands[0]), target: place(node.result), grain,
        kernels))
  }
}

/// One half of every row times a function of the other.
private final class GatedActivationStep: Step {
  private let code: Int32
  private let width: Int
  private let rows: Split
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: GatedActivation, _ shape: Shape, source: Place, target: Place, _ grain: TaskGrain,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    code = op.activation.code
    width = shape.last
    rows = Split(shape.rows, into: shape.count / grain.elements)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: rows.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let x = memory.floats(source)
    let y = memory.floats(target)
    for row in rows.range(task) {
      let value = x + row * 2 * width
      kernels.pointee.gated_activation(value, value + width, width, code, y + row * width)
    }
  }
}
