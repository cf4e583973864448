/// An elementwise function.
package enum Activation: String, Hashable, Sendable, CaseIterable {
  case none
  /// `x sigmoid(x)`.
  case silu
  /// `x Phi(x)` with the error function. Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
  case gelu
}
