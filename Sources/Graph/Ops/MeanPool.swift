package import TensorTypes

/// The mean over the tokens that a mask lets through.
///
/// Operands: x `[batch, token, channel]`; a mask `[batch, token]` of ones and zeros. The result is
/// `[batch, channel]`.
package struct MeanPool: OpPayload {
  package init() {}

  package var name: String { "meanPool" }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard operands.count == 2, operands[0].shape.rank == 3 else {
      throw ShapeError(name, "takes [batch, token, channel] and a mask [batch, token]")
    }
    let (x, mask) = (operands[0].shape, operands[1].shape)
    guard mask == [x[0], x[1]] else { throw ShapeError(name, "mask \(mask) does not fit \(x)") }
    return [x[0], x[2]]
  }
}
