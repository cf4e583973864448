import TensorTypes

/// Rows of a table by index: ids `[batch, token]` int32 give `[batch, token, width]`.
package struct Embedding: Hashable, Sendable {
  /// `[rows, width]`.
  package let table: WeightReference

  package init(table: WeightReference) { self.table = table }

  func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let ids = try operands.only("embedding")
    guard ids.elementType == .int32, ids.shape.rank == 2, table.shape.rank == 2 else {
      throw ShapeError("embedding", "takes int32 ids [batch, token] and a table [rows, width]")
    }
    return [ids.shape[0], ids.shape[1], table.shape[1]]
  }
}
