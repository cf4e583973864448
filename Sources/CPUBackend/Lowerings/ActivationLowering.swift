import CKernels
import Execution
import Graph
import TensorTypes

extension Activation {
  var code: Int32 {
    switch self {
    case .none: Int32(BANANA_ACTIVATION_NONE.rawValue)
    case .silu: Int32(BANANA_ACTIVATION_SILU.rawValue)
    case .gelu: Int32(BANANA_ACTIVATION_GELU_ERF.rawValue)
    case .quickGELU: Int32(BANANA_ACTIVATION_QUICK_GELU.rawValue)
    case .relu: Int32(BANANA_ACTIVATION_RELU.rawValue)
    case .tanh: Int32(BANANA_ACTIVATION_TANH.rawValue)
    }
  }
}

extension Lowering {
  mutating func lower(_ op: Activation, _ node: Node) {
    append(
      ActivationStep(
        op, count: node.result.shape.count, source: place(node.operands[0]),
        target: place(node.result), grain, kernels))
  }
}

/// An activation function by itself.
private final class ActivationStep: Step {
  private let code: Int32
  private let split: Split
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Activation, count: Int, source: Place, target: Place, _ grain: TaskGrain,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    code = op.code
    split = Split(count, into: count / grain.elements, multiple: 16)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let range = split.range(task)
    kernels.pointee.activation(
      memory.floats(source) + range.lowerBound, range.count, code,
      memory.floats(target) + range.lowerBound)
  }
}
