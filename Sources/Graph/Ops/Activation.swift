package import TensorTypes

/// An elementwise function, as an op of its own or as a part of another one.
package enum Activation: String, OpPayload, CaseIterable {
  case none
  /// `x sigmoid(x)`.
  case silu
  /// `x Phi(x)` with the error function. Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
  case gelu
  /// `x sigmoid(1.702 x)`, which stands for `gelu` in CLIP. Hendrycks and Gimpel 2016, section 2.
  case quickGELU
  /// `max(x, 0)`.
  case relu
  /// The hyperbolic tangent.
  case tanh

  package var name: String { "activation.\(rawValue)" }

  /// Element by element.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try operands.only(name).shape
  }
}
