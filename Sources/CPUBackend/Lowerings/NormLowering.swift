import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Norm, _ node: Node) throws(ExecutionError) {
    let shape = node.result.shape
    var arguments = banana_norm()
    arguments.n = Int32(shape.last)
    arguments.x_stride = shape.last
    arguments.y_stride = shape.last
    arguments.epsilon = op.epsilon
    arguments.subtract_mean = op.kind == .layer
    arguments.weight = try op.weight.map(weights.vector)
    arguments.bias = try op.bias.map(weights.vector)
    arguments.scale_stride = shape.last
    arguments.shift_stride = shape.last
    arguments.modulation_rows = Int32(shape.rows / max(shape[0], 1))
    arguments.activation = op.activation.code
    append(
      NormStep(
        op.name, arguments, shape, source: place(node.operands[0]),
        scale: op.isModulated ? place(node.operands[1]) : nil,
        shift: op.isModulated ? place(node.operands[2]) : nil, target: place(node.result),
        grain, kernels))
  }
}

/// RMS or layer normalization.
private final class NormStep: Step {
  private let arguments: banana_norm
  private let split: Split
  private let source: Place
  private let scale: Place?
  private let shift: Place?
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: String, _ arguments: banana_norm, _ shape: Shape, source: Place, scale: Place?,
    shift: Place?,
    target: Place, _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = arguments
    split = Split(shape.rows, into: max(1, shape.count / grain.elements))
    self.source = source
    self.scale = scale
    self.shift = shift
    self.target = target
    self.kernels = kernels
    super.init(op, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    var placed = arguments
    placed.x = UnsafePointer(memory.floats(source))
    placed.y = memory.floats(target)
    placed.scale = memory.floats(scale)
    placed.shift = memory.floats(shift)
    let rows = split.range(task)
    kernels.pointee.norm(&placed, Int32(rows.lowerBound), Int32(rows.upperBound))
  }
}
