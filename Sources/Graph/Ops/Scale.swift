package import TensorTypes

/// `factor x + offset`, element by element, of numbers that are known when the network is traced.
package struct Scale: OpPayload {
  package let factor: Float
  package let offset: Float

  package init(factor: Float, offset: Float = 0) {
    self.factor = factor
    self.offset = offset
  }

  package var name: String { "scale" }

  /// Element by element.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try operands.only(name).shape
  }
}
