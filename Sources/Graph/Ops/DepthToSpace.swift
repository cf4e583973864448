package import TensorTypes

/// `[batch, y, x, factor * factor * c]` to `[batch, y * factor, x * factor, c]`, where channel
/// `(dy * factor + dx) * c + i` becomes channel `i` of pixel `(y * factor + dy, x * factor + dx)`.
///
/// Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution" (pixel shuffle).
package struct DepthToSpace: OpPayload {
  package var name: String { "depthToSpace" }
  package let factor: Int

  package init(factor: Int) { self.factor = factor }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.rank == 4, factor > 0, x.last % (factor * factor) == 0 else {
      throw ShapeError(name, "\(x) does not divide by \(factor) squared")
    }
    return [x[0], x[1] * factor, x[2] * factor, x.last / (factor * factor)]
  }
}
