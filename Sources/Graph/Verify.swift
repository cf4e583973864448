package import TensorTypes

/// A graph that no backend may be given.
package enum GraphError: Error, Equatable, CustomStringConvertible {
  case undefinedValue(node: Int, value: Int)
  case redefinedValue(node: Int, value: Int)
  case shapes(node: Int, ShapeError)
  case resultShape(node: Int, expected: Shape, found: Shape)
  case undefinedOutput(name: String)

  package var description: String {
    switch self {
    case .undefinedValue(let node, let value): "node \(node) reads %\(value) before it is computed"
    case .redefinedValue(let node, let value): "node \(node) computes %\(value) a second time"
    case .shapes(let node, let error): "node \(node): \(error)"
    case .resultShape(let node, let expected, let found):
      "node \(node) says \(found), its op gives \(expected)"
    case .undefinedOutput(let name): "output \"\(name)\" is never computed"
    }
  }
}

extension Graph {
  /// Checks that values are computed once and before they are read, and that every shape is what
  /// its op gives. Passes are followed by it.
  package func verify() throws(GraphError) {
    var defined = Set(inputs.map(\.value))
    for (index, node) in nodes.enumerated() {
      for operand in node.operands where !defined.contains(operand) {
        throw .undefinedValue(node: index, value: operand.id)
      }
      let expected: Shape
      do throws(ShapeError) { expected = try node.op.resultShape(node.operands) } catch {
        throw .shapes(node: index, error)
      }
      guard expected == node.result.shape else {
        throw .resultShape(node: index, expected: expected, found: node.result.shape)
      }
      guard defined.insert(node.result).inserted else {
        throw .redefinedValue(node: index, value: node.result.id)
      }
    }
    for output in outputs where !defined.contains(output.value) {
      throw .undefinedOutput(name: output.name)
    }
  }
}
