import CKernels
import Execution
import Graph
import TensorTypes

/// Turns the nodes of a plan into steps.
struct Lowering {
  let plan: Plan
  let weights: CPUWeights
  private(set) var steps: [Step] = []
  var needs = ScratchNeeds()
  /// What the scratch operand holds at this point, so that linears that share an input quantize
  /// it once.
  var quantized: QuantizedRows?

  init(plan: Plan, weights: CPUWeights) {
    self.plan = plan
    self.weights = weights
  }

  var kernels: UnsafePointer<banana_kernels> { weights.backend.kernels }

  func offset(_ value: Value) -> Int { plan[value].offset }

  mutating func append(_ step: Step) { steps.append(step) }

  mutating func lower(_ node: Node) throws(ExecutionError) {
    switch node.op {
    case .parameter(let op):
      append(
        CopyStep(
          source: try weights.vector(op.weight), target: offset(node.result),
          count: node.result.shape.count))
    case .embedding(let op): try lower(op, node)
    case .sinusoidal(let op):
      append(
        SinusoidalStep(
          op, rows: node.result.shape[0], source: offset(node.operands[0]),
          target: offset(node.result)))
    case .linear(let op): try lower(op, node)
    case .product(let op): lower(op, node)
    case .convolution(let op): try lower(op, node)
    case .norm(let op): try lower(op, node)
    case .rotary(let op): try lower(op, node)
    case .attention(let op): lower(op, node)
    case .activation(let function):
      append(
        ActivationStep(
          function, count: node.result.shape.count, source: offset(node.operands[0]),
          target: offset(node.result), kernels))
    case .add: lowerBinary(node, isProduct: false)
    case .multiply: lowerBinary(node, isProduct: true)
    case .slice(let op):
      append(
        SliceStep(
          op, rows: node.result.shape.rows, sourceWidth: node.operands[0].shape.last,
          source: offset(node.operands[0]), target: offset(node.result)))
    case .meanPool:
      append(
        MeanPoolStep(
          shape: node.operands[0].shape, source: offset(node.operands[0]),
          mask: offset(node.operands[1]), target: offset(node.result)))
    case .depthToSpace(let op):
      append(
        PixelShuffleStep(
          "depthToSpace", coarse: node.operands[0].shape, factor: op.factor, isInverse: false,
          source: offset(node.operands[0]), target: offset(node.result)))
    case .spaceToDepth(let op):
      append(
        PixelShuffleStep(
          "spaceToDepth", coarse: node.result.shape, factor: op.factor, isInverse: true,
          source: offset(node.operands[0]), target: offset(node.result)))
    case .reshape:
      break  // The planner gave both the same place.
    }
  }

  private mutating func lower(_ op: Embedding, _ node: Node) throws(ExecutionError) {
    append(
      EmbeddingStep(
        try weights.table(op.table), tableShape: op.table.shape,
        count: node.operands[0].shape.count,
        source: offset(node.operands[0]), target: offset(node.result)))
  }

  private mutating func lower(_ op: Norm, _ node: Node) throws(ExecutionError) {
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
        arguments, rows: shape.rows, source: offset(node.operands[0]),
        scale: op.isModulated ? offset(node.operands[1]) : nil,
        shift: op.isModulated ? offset(node.operands[2]) : nil, target: offset(node.result),
        kernels))
  }

  private mutating func lower(_ op: Rotary, _ node: Node) throws(ExecutionError) {
    append(
      try RotaryStep(
        op, shape: node.result.shape, weight: try op.weight.map(weights.vector),
        source: offset(node.operands[0]), target: offset(node.result), kernels))
  }

  private mutating func lower(_ op: Attention, _ node: Node) {
    let step = AttentionStep(op, node, kernels, offset: { plan[$0].offset })
    needs.worker(bytes: step.scratchBytes)
    append(step)
  }

  private mutating func lowerBinary(_ node: Node, isProduct: Bool) {
    append(
      BinaryStep(
        isProduct: isProduct, shape: node.result.shape, other: node.operands[1].shape,
        a: offset(node.operands[0]), b: offset(node.operands[1]), target: offset(node.result),
        kernels))
  }
}

/// The linear op's input as the scratch operand holds it.
struct QuantizedRows: Equatable {
  let value: Value
  let xor: UInt8
  let stride: Int
  let group: Int?
}

extension Activation {
  var code: Int32 {
    switch self {
    case .none: Int32(BANANA_ACTIVATION_NONE.rawValue)
    case .silu: Int32(BANANA_ACTIVATION_SILU.rawValue)
    case .gelu: Int32(BANANA_ACTIVATION_GELU_ERF.rawValue)
    }
  }
}
