package import TensorTypes

/// Normalization over the innermost axis: `n = x / rms(x)` or `(x - mean) / deviation`, then
/// `n * weight + bias`, then, if modulated, `n * (1 + scale) + shift`.
///
/// Operands: x `[batch, …, channel]`; if `isModulated`, scale and shift, each `[batch, channel]`.
///
/// Zhang and Sennrich 2019, "Root Mean Square Layer Normalization"; Ba et al. 2016, "Layer
/// Normalization"; Peebles and Xie 2022, "Scalable Diffusion Models with Transformers" (adaLN).
package struct Norm: OpPayload {
  package var name: String { "norm" }
  package enum Kind: String, Hashable, Sendable { case rootMeanSquare, layer }

  package let kind: Kind
  package let epsilon: Float
  package let weight: WeightReference?
  package let bias: WeightReference?
  package let isModulated: Bool
  /// Applied last; only what `SiLU(norm(x))` in convolutional blocks needs.
  package var activation: Activation

  package init(
    kind: Kind, epsilon: Float, weight: WeightReference? = nil, bias: WeightReference? = nil,
    isModulated: Bool = false, activation: Activation = .none
  ) {
    self.kind = kind
    self.epsilon = epsilon
    self.weight = weight
    self.bias = bias
    self.isModulated = isModulated
    self.activation = activation
  }

  package var weights: [WeightReference] { [weight, bias].compactMap { $0 } }

  /// Row by row: a row is read twice before it is written.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard operands.count == (isModulated ? 3 : 1) else {
      throw ShapeError(name, "was given \(operands.count) operands")
    }
    let x = operands[0].shape
    for stored in [weight, bias].compactMap({ $0 }) where stored.shape != [x.last] {
      throw ShapeError(name, "\(stored.name) \(stored.shape) does not fit \(x)")
    }
    for modulation in operands.dropFirst() where modulation.shape != [x[0], x.last] {
      throw ShapeError(name, "modulation \(modulation.shape) does not fit \(x)")
    }
    return x
  }
}
