package import TensorTypes

/// The same elements under another shape; another name for the operand's memory.
package struct Reshape: OpPayload {
  package let shape: Shape

  package init(_ shape: Shape) { self.shape = shape }

  package var name: String { "reshape" }

  package func resultType(_ operands: [Value]) -> ElementType { operands[0].elementType }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.count == shape.count else {
      throw ShapeError(name, "\(x) does not hold as many elements as \(shape)")
    }
    return shape
  }
}
