package import TensorTypes

/// Rows of a table by index: ids `[batch, token]` int32 give `[batch, token, width]`.
package struct Embedding: OpPayload {
  package var name: String { "embedding" }
  /// `[rows, width]`.
  package let table: WeightReference

  package init(table: WeightReference) { self.table = table }

  package var weights: [WeightReference] { [table] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let ids = try operands.only(name)
    guard ids.elementType == .int32, ids.shape.rank == 2, table.shape.rank == 2 else {
      throw ShapeError(name, "takes int32 ids [batch, token] and a table [rows, width]")
    }
    return [ids.shape[0], ids.shape[1], table.shape[1]]
  }
}
