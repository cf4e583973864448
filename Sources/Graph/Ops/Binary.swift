package import TensorTypes

/// An elementwise function of two operands. The second is of the same shape as the first, one row
/// `[channel]`, or one row a batch item `[batch, channel]`.
package enum Binary: String, OpPayload, CaseIterable {
  case add
  case multiply

  package var name: String { rawValue }

  /// Element by element; a row that is repeated is read again.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] {
    operands.indices.filter { operands[$0].shape == result }
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard operands.count == 2 else {
      throw ShapeError(name, "takes 2 operands, was given \(operands.count)")
    }
    let (a, b) = (operands[0].shape, operands[1].shape)
    guard a == b || b.isRow(over: a) else {
      throw ShapeError(name, "\(b) does not broadcast over \(a)")
    }
    return a
  }
}

extension Shape {
  /// Whether this is `[channel]` or `[batch, channel]` for a tensor `[batch, …, channel]`.
  func isRow(over shape: Shape) -> Bool {
    guard last == shape.last else { return false }
    return rank == 1 || (rank == 2 && shape.rank >= 2 && self[0] == shape[0])
  }
}
