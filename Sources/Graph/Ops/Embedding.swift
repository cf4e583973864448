package import TensorTypes

/// Rows of a table by index: ids `[batch, token]` int32 give `[batch, token, width]`. Those behind
/// the table's are rows of a second operand, if there is one: `[more rows, width]`.
package struct Embedding: OpPayload {
  package var name: String { "embedding" }
  /// `[rows, width]`.
  package let table: WeightReference

  package init(table: WeightReference) { self.table = table }

  package var weights: [WeightReference] { [table] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard let ids = operands.first, operands.count <= 2, ids.elementType == .int32,
      ids.shape.rank == 2, table.shape.rank == 2,
      operands.dropFirst().allSatisfy({
        $0.elementType == .float32 && $0.shape.rank == 2 && $0.shape[1] == table.shape[1]
      })
    else {
      throw ShapeError(
        name, "takes int32 ids [batch, token], a table [rows, width] and perhaps more such rows")
    }
    return [ids.shape[0], ids.shape[1], table.shape[1]]
  }
}
