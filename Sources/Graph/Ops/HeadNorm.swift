package import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Per-head RMS normalization (QK-norm) and, if `grid` is given, axial rotary embedding.
///
/// Operand x `[batch, token, heads * headWidth]`. With a grid, token `t` lies at
/// `(y, x) = (t / grid.width, t % grid.width)`; the first half of a head's channels turns with y,
/// the second with x; within a half of `D` channels, channel `i` pairs with `i + D/2` and turns by
/// `position * base^(-i / (D/2))`.
///
/// Su et al. 2021, "RoFormer"; Henry et al. 2020, "Query-Key Normalization for Transformers".
package struct HeadNorm: OpPayload {
  package var name: String { "headNorm" }
  package struct Grid: Hashable, Sendable {
    package let height: Int
    package let width: Int
    package let base: Float

    package init(height: Int, width: Int, base: Float) {
      self.height = height
      self.width = width
      self.base = base
    }

    /// Cosines, then sines, `[position, headWidth / 2]`: the y axis' pairs, then the x axis'.
    package func angles(headWidth: Int) -> [Float] {
      let pairs = headWidth / 4
      let angles = (0..<height * width).flatMap { position in
        [position / width, position % width].flatMap { along in
          (0..<pairs).map { Double(along) * pow(Double(base), -Double($0) / Double(pairs)) }
        }
      }
      return angles.map { Float(cos($0)) } + angles.map { Float(sin($0)) }
    }
  }

  package let heads: Int
  /// `[headWidth]`, shared by the heads; no normalization if nil.
  package let weight: WeightReference?
  package let epsilon: Float
  package let grid: Grid?

  package init(heads: Int, weight: WeightReference?, epsilon: Float, grid: Grid?) {
    self.heads = heads
    self.weight = weight
    self.epsilon = epsilon
    self.grid = grid
  }

  package var weights: [WeightReference] { [weight].compactMap { $0 } }

  /// Head by head.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.rank == 3, heads > 0, x.last % heads == 0 else {
      throw ShapeError(name, "\(x) does not split into \(heads) heads")
    }
    let headWidth = x.last / heads
    if let weight, weight.shape != [headWidth] {
      throw ShapeError(
        name, "\(weight.name) \(weight.shape) does not fit heads of \(headWidth)")
    }
    if let grid {
      guard headWidth % 4 == 0, grid.height * grid.width == x[1] else {
        throw ShapeError(name, "grid \(grid.height)x\(grid.width) does not fit \(x)")
      }
    }
    return x
  }
}
