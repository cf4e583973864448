import TensorTypes

/// Channels `offset ..< offset + count` of the innermost axis.
package struct Slice: Hashable, Sendable {
  package let offset: Int
  package let count: Int

  package init(offset: Int, count: Int) {
    self.offset = offset
    self.count = count
  }

  func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only("slice").shape
    guard offset >= 0, count > 0, offset + count <= x.last else {
      throw ShapeError("slice", "\(offset)..<\(offset + count) is not within \(x)")
    }
    return x.replacingLast(with: count)
  }
}
