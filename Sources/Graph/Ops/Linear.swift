import TensorTypes

/// `y = activation(x W^T + bias)`, then `y *= gate`, then `y += residual`.
///
/// Operands: x `[…, in]`; if `hasGate`, gate of the result's shape, `[batch, out]` or `[out]`; if
/// `hasResidual`, residual of the result's shape. The result is `[…, out]`.
package struct Linear: Hashable, Sendable {
  /// `[out, in]`.
  package let weight: WeightReference
  /// `[out]`.
  package let bias: WeightReference?
  package let activation: Activation
  package let hasGate: Bool
  package let hasResidual: Bool

  package init(
    weight: WeightReference, bias: WeightReference? = nil, activation: Activation = .none,
    hasGate: Bool = false, hasResidual: Bool = false
  ) {
    self.weight = weight
    self.bias = bias
    self.activation = activation
    self.hasGate = hasGate
    self.hasResidual = hasResidual
  }

  func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try checkOperandCount(operands, hasGate: hasGate, hasResidual: hasResidual, "linear")
    let x = operands[0].shape
    guard weight.shape.rank == 2, x.rank >= 2, x.last == weight.shape[1] else {
      throw ShapeError("linear", "\(weight.name) \(weight.shape) does not take \(x)")
    }
    let result = x.replacingLast(with: weight.shape[0])
    try checkEpilogueShapes(
      operands, result, hasGate: hasGate, hasResidual: hasResidual, bias: bias, "linear")
    return result
  }
}

func checkOperandCount(
  _ operands: [Value], hasGate: Bool, hasResidual: Bool, _ op: String
) throws(ShapeError) {
  let expected = 1 + (hasGate ? 1 : 0) + (hasResidual ? 1 : 0)
  guard operands.count == expected else {
    throw ShapeError(op, "takes \(expected) operands, was given \(operands.count)")
  }
}

/// Checks what linears and convolutions add behind the matrix product.
func checkEpilogueShapes(
  _ operands: [Value], _ result: Shape, hasGate: Bool, hasResidual: Bool, bias: WeightReference?,
  _ op: String
) throws(ShapeError) {
  if let bias, bias.shape != [result.last] {
    throw ShapeError(op, "bias \(bias.name) \(bias.shape) does not fit \(result)")
  }
  if hasGate {
    let gate = operands[1].shape
    guard gate == result || isRowBroadcast(gate, over: result) else {
      throw ShapeError(op, "gate \(gate) does not broadcast over \(result)")
    }
  }
  if hasResidual, operands[operands.count - 1].shape != result {
    throw ShapeError(op, "residual \(operands[operands.count - 1].shape) is not \(result)")
  }
}
