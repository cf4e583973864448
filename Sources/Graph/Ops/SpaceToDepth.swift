package import TensorTypes

/// The inverse of `DepthToSpace`.
package struct SpaceToDepth: OpPayload {
  package var name: String { "spaceToDepth" }
  package let factor: Int

  package init(factor: Int) { self.factor = factor }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.rank == 4, factor > 0, x[1] % factor == 0, x[2] % factor == 0 else {
      throw ShapeError(name, "\(x) does not divide by \(factor)")
    }
    return [x[0], x[1] / factor, x[2] / factor, x.last * factor * factor]
  }
}
