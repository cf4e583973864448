package import TensorTypes

/// What a value's elements are while a graph runs.
package enum ElementType: Hashable, Sendable {
  case float32
  case int32
  /// Quantized to bytes, with their scales.
  case int8(Quantize)
}

/// A tensor that does not exist yet: the result of an op, or an input of the graph.
package struct Value: Hashable, Sendable {
  package let id: Int
  package let shape: Shape
  package let elementType: ElementType

  package var byteCount: Int {
    switch elementType {
    case .float32, .int32: 4 * shape.count
    case .int8(let quantize): quantize.layout(of: shape).byteCount
    }
  }
}

/// A stored tensor that an op reads, named as in the model package, with its logical shape.
package struct WeightReference: Hashable, Sendable {
  package let name: String
  /// `[out, in]` for linears, `[out, kernelHeight, kernelWidth, in]` for convolutions,
  /// `[rows, width]` for embedding tables, `[width]` for biases and norms.
  package let shape: Shape

  package init(_ name: String, _ shape: Shape) {
    self.name = name
    self.shape = shape
  }
}
