/// The extents of a tensor, outermost axis first.
package struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  package let dimensions: [Int]

  /// - Precondition: No extent is negative.
  package init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "negative extent in \(dimensions)")
    self.dimensions = dimensions
  }

  package init(arrayLiteral elements: Int...) { self.init(elements) }

  package var rank: Int { dimensions.count }

  /// The number of elements; 1 for a scalar.
  package var count: Int { dimensions.reduce(1, *) }

  /// The innermost extent; 1 for a scalar.
  package var last: Int { dimensions.last ?? 1 }

  /// The number of rows when the tensor is seen as a matrix `[rows, last]`.
  package var rows: Int { dimensions.dropLast().reduce(1, *) }

  package subscript(axis: Int) -> Int { dimensions[axis] }

  /// The same extents with the innermost one replaced.
  package func replacingLast(with extent: Int) -> Shape {
    Shape(dimensions.dropLast() + [extent])
  }

  package var description: String {
    "[" + dimensions.map(String.init).joined(separator: ", ") + "]"
  }
}
