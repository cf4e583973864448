import TensorTypes

/// A two-dimensional convolution of stride 1 whose result has its input's height and width
/// (zero padding of half the kernel), with the same epilogue as `Linear`.
///
/// Operands: x `[batch, y, x, in]`; then gate and residual as in `Linear`. The result is
/// `[batch, y, x, out]`.
package struct Convolution: Hashable, Sendable {
  /// `[out, kernelHeight, kernelWidth, in]`, odd kernel sizes.
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
    try checkOperandCount(operands, hasGate: hasGate, hasResidual: hasResidual, "convolution")
    let x = operands[0].shape
    let w = weight.shape
    guard x.rank == 4, w.rank == 4, w[1] % 2 == 1, w[2] % 2 == 1, x.last == w[3] else {
      throw ShapeError("convolution", "\(weight.name) \(w) does not take \(x)")
    }
    let result = x.replacingLast(with: w[0])
    try checkEpilogueShapes(
      operands, result, hasGate: hasGate, hasResidual: hasResidual, bias: bias, "convolution")
    return result
  }
}
