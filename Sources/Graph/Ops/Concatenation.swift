package import TensorTypes

/// Channels of tensors side by side: `[…, a]`, `[…, b]` and so on give `[…, a + b + …]`.
package struct Concatenation: OpPayload {
  package init() {}

  package var name: String { "concatenation" }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    guard let first = operands.first?.shape else {
      throw ShapeError(name, "takes at least 1 operand, was given 0")
    }
    for operand in operands where operand.shape.replacingLast(with: first.last) != first {
      throw ShapeError(name, "\(operand.shape) does not stand beside \(first)")
    }
    return first.replacingLast(with: operands.reduce(0) { $0 + $1.shape.last })
  }
}
