package import TensorTypes

/// A graph that no backend may be given.
package enum GraphError: Error, Equatable, CustomStringConvertible {
  case undefinedValue(node: Int, value: Int)
  case redefinedValue(node: Int, value: Int)
  case shapes(node: Int, ShapeError)
  case resultShape(node: Int, expected: Shape, found: Shape)
  case elementType(node: Int, value: Int)
  case undefinedOutput(name: String)

  package var description: String {
    switch self {
    case .undefinedValue(let node, let value): "node \(node) reads %\(value) before it is computed"
    case .redefinedValue(let node, let value): "node \(node) computes %\(value) a second time"
    case .shapes(let node, let error): "node \(node): \(error)"
    case .resultShape(let node, let expected, let found):
      "node \(node) says \(found), its op gives \(expected)"
    case .elementType(let node, let value):
      "node \(node): %\(value) has elements of another type than its op takes or gives"
    case .undefinedOutput(let name): "output \"\(name)\" is never computed"
    }
  }
}

extension Graph {
  /// Checks that values are computed once and before they are read, and that every shape and
  /// element type is what its op gives.
  package func verify() throws(GraphError) {
    var defined = Set(inputs.map(\.value))
    for (index, node) in nodes.enumerated() {
      for operand in node.operands where !defined.contains(operand) {
        throw .undefinedValue(node: index, value: operand.id)
      }
      let op = node.op.payload
      for (place, operand) in node.operands.enumerated() {
        guard case .int8 = operand.elementType else { continue }
        guard place == 0, op.takesQuantized else {
          throw .elementType(node: index, value: operand.id)
        }
      }
      let expected: Shape
      do throws(ShapeError) { expected = try op.resultShape(node.operands) } catch {
        throw .shapes(node: index, error)
      }
      guard expected == node.result.shape else {
        throw .resultShape(node: index, expected: expected, found: node.result.shape)
      }
      guard op.resultType(node.operands) == node.result.elementType else {
        throw .elementType(node: index, value: node.result.id)
      }
      guard defined.insert(node.result).inserted else {
        throw .redefinedValue(node: index, value: node.result.id)
      }
    }
    for output in outputs where !defined.contains(output.value) {
      throw .undefinedOutput(name: output.name)
    }
  }

  /// The graph, when it holds what `verify` asks for: what every pass and the builder ends with.
  func verified() -> Graph {
    do throws(GraphError) { try verify() } catch { preconditionFailure("\(name): \(error)") }
    return self
  }
}
