package import TensorTypes

/// Every element times a number that is known when the network is traced.
package struct Scale: OpPayload {
  package let factor: Float

  package init(factor: Float) { self.factor = factor }

  package var name: String { "scale" }

  /// Element by element.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try operands.only(name).shape
  }
}
