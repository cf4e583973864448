package import TensorTypes

/// `x W^T + bias`, then the epilogue.
///
/// Operands: x `[…, in]`; the factors of a low-rank update, if there is one; if gated, a gate of
/// the result's shape, `[batch, out]` or `[out]`; if there is a residual, one of the result's
/// shape. The result is `[…, out]`.
package struct Linear: OpPayload {
  package var name: String { "linear" }
  /// `[out, in]`.
  package let weight: WeightReference
  /// `[out]`.
  package let bias: WeightReference?
  package var epilogue: Epilogue

  package init(
    weight: WeightReference, bias: WeightReference? = nil, epilogue: Epilogue = Epilogue()
  ) {
    self.weight = weight
    self.bias = bias
    self.epilogue = epilogue
  }

  package var takesQuantized: Bool { true }

  package var weights: [WeightReference] { [weight, bias].compactMap { $0 } }

  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] {
    epilogue.replaceableOperands(operands, result: result)
  }

  package func operationCount(_ operands: [Value], result: Shape) -> Int {
    2 * result.count * (weight.shape[1] + (epilogue.hasUpdate ? operands[1].shape.last : 0))
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try epilogue.checkOperandCount(operands, name)
    let x = operands[0].shape
    guard weight.shape.rank == 2, x.rank >= 2, x.last == weight.shape[1] else {
      throw ShapeError(name, "\(weight.name) \(weight.shape) does not take \(x)")
    }
    let result = x.replacingLast(with: weight.shape[0])
    try epilogue.checkShapes(operands, result, bias: bias, name)
    return result
  }
}
