package import TensorTypes

/// `x M^T` with a matrix that is a value, so that it can be changed between runs: a factor of a
/// low-rank update.
///
/// Operands: x `[…, in]`; the matrix `[out, in]` in blocks of 16 outputs, `[ceil(out/16), in, 16]`
/// f32 (`BlockLayout`), zeros where there is no output. The result is `[…, out]`.
package struct Matmul: OpPayload {
  package var name: String { "matmul" }
  package let outputs: Int

  package init(outputs: Int) { self.outputs = outputs }

  /// The shape in which the matrix lies.
  package static func matrixShape(outputs: Int, inputs: Int) -> Shape {
    [BlockLayout.blocks(of: outputs), inputs, BlockLayout.outputs]
  }

  package func operationCount(_ operands: [Value], result: Shape) -> Int {
    2 * result.count * operands[0].shape.last
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard operands.count == 2 else {
      throw ShapeError(name, "takes 2 operands, was given \(operands.count)")
    }
    let (x, matrix) = (operands[0].shape, operands[1].shape)
    guard x.rank >= 2, outputs > 0,
      matrix == Self.matrixShape(outputs: outputs, inputs: x.last)
    else { throw ShapeError(name, "\(matrix) does not take \(x) to \(outputs) outputs") }
    return x.replacingLast(with: outputs)
  }
}
