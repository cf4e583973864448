package import TensorTypes

/// What one op is told, and what it makes of its operands.
package protocol OpPayload: Hashable, Sendable {
  /// The op's name in dumps, timings and kernel names.
  var name: String { get }
  /// The stored tensors that the op reads.
  var weights: [WeightReference] { get }
  /// Whether the first operand may be quantized.
  var takesQuantized: Bool { get }
  func resultType(_ operands: [Value]) -> ElementType
  /// The shape of the result, or what is wrong with the operands.
  func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape
  /// The operands whose place the result may take when nothing else needs them: the result's
  /// elements are written only after everything that is read from the same place, by whichever
  /// thread, has been.
  func replaceableOperands(_ operands: [Value], result: Shape) -> [Int]
  /// Multiply-adds count as two. Only matrix products are counted: linears, matmuls, convolutions
  /// and attention.
  func operationCount(_ operands: [Value], result: Shape) -> Int
}

extension OpPayload {
  package var weights: [WeightReference] { [] }
  package var takesQuantized: Bool { false }
  package func resultType(_ operands: [Value]) -> ElementType { .float32 }
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [] }
  package func operationCount(_ operands: [Value], result: Shape) -> Int { 0 }
}

/// Everything that a backend must be able to do; closed, so that the compiler finds every
/// lowering that a new op needs.
///
/// Tensors are channels-last: `[batch, token, channel]` or `[batch, y, x, channel]`.
package enum Op: Hashable, Sendable {
  case parameter(Parameter)
  case embedding(Embedding)
  case sinusoidal(Sinusoidal)
  case linear(Linear)
  case matmul(Matmul)
  case convolution(Convolution)
  case patchSum(PatchSum)
  case norm(Norm)
  case groupNorm(GroupNorm)
  case headNorm(HeadNorm)
  case attention(Attention)
  case activation(Activation)
  case gatedActivation(GatedActivation)
  case binary(Binary)
  case scale(Scale)
  case slice(Slice)
  case concatenation(Concatenation)
  case meanPool(MeanPool)
  case depthToSpace(DepthToSpace)
  case spaceToDepth(SpaceToDepth)
  case fold(Fold)
  case reshape(Reshape)
  case quantize(Quantize)

  package var payload: any OpPayload {
    switch self {
    case .parameter(let op): op
    case .embedding(let op): op
    case .sinusoidal(let op): op
    case .linear(let op): op
    case .matmul(let op): op
    case .convolution(let op): op
    case .patchSum(let op): op
    case .norm(let op): op
    case .groupNorm(let op): op
    case .headNorm(let op): op
    case .attention(let op): op
    case .activation(let op): op
    case .gatedActivation(let op): op
    case .binary(let op): op
    case .scale(let op): op
    case .slice(let op): op
    case .concatenation(let op): op
    case .meanPool(let op): op
    case .depthToSpace(let op): op
    case .spaceToDepth(let op): op
    case .fold(let op): op
    case .reshape(let op): op
    case .quantize(let op): op
    }
  }
}

/// An op was given operands that it cannot take.
package struct ShapeError: Error, Equatable, CustomStringConvertible {
  package let op: String
  package let reason: String

  package init(_ op: String, _ reason: String) {
    self.op = op
    self.reason = reason
  }

  package var description: String { "\(op): \(reason)" }
}

extension [Value] {
  /// The single operand of a unary op.
  func only(_ op: String) throws(ShapeError) -> Value {
    guard count == 1 else { throw ShapeError(op, "takes 1 operand, was given \(count)") }
    return self[0]
  }
}
