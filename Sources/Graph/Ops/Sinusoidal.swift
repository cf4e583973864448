package import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// `[batch]` scalars as `[batch, width]` features: the first half `cos(scale x f_i)`, the second
/// `sin(scale x f_i)`, with `f_i = exp(-ln(maximumPeriod) i / (width / 2))`.
///
/// Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
package struct Sinusoidal: OpPayload {
  package var name: String { "sinusoidal" }
  package let width: Int
  package let scale: Float
  package let maximumPeriod: Float

  package init(width: Int, scale: Float, maximumPeriod: Float = 10_000) {
    self.width = width
    self.scale = scale
    self.maximumPeriod = maximumPeriod
  }

  /// `f_i`.
  package var frequencies: [Double] {
    let half = width / 2
    return (0..<half).map { exp(-log(Double(maximumPeriod)) * Double($0) / Double(half)) }
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name)
    guard x.shape.rank == 1, width % 2 == 0 else {
      throw ShapeError(name, "takes [batch] and an even width, not \(x.shape), \(width)")
    }
    return [x.shape[0], width]
  }
}
