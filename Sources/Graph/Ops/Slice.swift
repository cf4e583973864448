package import TensorTypes

/// Channels `offset ..< offset + count` of the innermost axis.
package struct Slice: OpPayload {
  package var name: String { "slice" }
  package let offset: Int
  package let count: Int

  package init(offset: Int, count: Int) {
    self.offset = offset
    self.count = count
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard offset >= 0, count > 0, offset + count <= x.last else {
      throw ShapeError(name, "\(offset)..<\(offset + count) is not within \(x)")
    }
    return x.replacingLast(with: count)
  }
}
