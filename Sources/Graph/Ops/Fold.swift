package import TensorTypes

/// Turns the pixels on both sides of the borders between patches into each other, so that the error
/// of a patch fades out over its neighbours; or turns them back.
///
/// Across every border b, for `i = 0 ..< overlap`, the pixels `l = x[b - 1 - i]` and `r = x[b + i]`
/// become `cos t l + sin t r` and `cos t r - sin t l` with
/// `t = pi/4 (1 - (2i + 1) / (2 overlap))`; first along lines, then across them. Unfolding turns by
/// `-t`. Operand x and the result are `[batch, y, x, channel]`.
///
/// Princen and Bradley 1986, "Analysis/synthesis filter bank design based on time domain aliasing
/// cancellation"; Malvar 1992, "Signal Processing with Lapped Transforms".
package struct Fold: OpPayload {
  package enum Direction: String, Hashable, Sendable { case fold, unfold }

  package let direction: Direction
  /// Pixels between borders.
  package let patch: Int
  /// Pixels that are turned on each side of a border.
  package let overlap: Int

  package init(_ direction: Direction, patch: Int, overlap: Int) {
    self.direction = direction
    self.patch = patch
    self.overlap = overlap
  }

  package var name: String { direction.rawValue }

  /// The angle `t` of the pixels that are `i` away from a border, the way it is turned included.
  package func angle(_ i: Int) -> Double {
    let t = Double.pi / 4 * (1 - Double(2 * i + 1) / Double(2 * overlap))
    return direction == .fold ? t : -t
  }

  /// Line by line, then pairs of lines.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.rank == 4, overlap > 0, 2 * overlap <= patch, x[1] % patch == 0, x[2] % patch == 0
    else {
      throw ShapeError(name, "\(x) has no borders every \(patch) pixels to turn \(overlap) at")
    }
    return x
  }
}
