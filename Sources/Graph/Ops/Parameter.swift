package import TensorTypes

/// A stored tensor as a value, for tables that are added or multiplied rather than multiplied
/// through: position embeddings, modulation tables.
package struct Parameter: OpPayload {
  package var name: String { "parameter" }
  package let weight: WeightReference
  /// The leading rows that are wanted; the whole tensor if nil.
  package let rows: Int?
  package let shape: Shape

  /// - Parameter rows: Takes the first rows of a tensor `[rows, width]`.
  package init(weight: WeightReference, rows: Int? = nil, shape: Shape) {
    self.weight = weight
    self.rows = rows
    self.shape = shape
  }

  package var weights: [WeightReference] { [weight] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard operands.isEmpty else { throw ShapeError(name, "takes no operands") }
    let available = rows.map { $0 * weight.shape.last } ?? weight.shape.count
    guard (rows ?? 0) <= weight.shape.rows, available == shape.count else {
      throw ShapeError(name, "\(weight.name) \(weight.shape) does not give \(shape)")
    }
    return shape
  }
}
