package import TensorTypes

/// What a value's elements are while a graph runs.
package enum ElementType: String, Hashable, Sendable {
  case float32
  case int32

  package var byteCount: Int { 4 }
}

/// A tensor that does not exist yet: the result of an op, or an input of the graph.
package struct Value: Hashable, Sendable {
  package let id: Int
  package let shape: Shape
  package let elementType: ElementType

  package var byteCount: Int { shape.count * elementType.byteCount }
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
