import TensorTypes

/// What a matrix product does to its sums: `activation(sum + bias + up inner)`, then times the
/// gate, then plus the residual. What it reads are operands behind the first one, in that order.
package struct Epilogue: Hashable, Sendable {
  /// A low-rank update of the product, of two operands: inner `[…, rank]`, an even rank, and up
  /// `[out, rank]` in blocks as `Matmul` has them.
  package var hasUpdate: Bool
  package var activation: Activation
  package var hasGate: Bool
  package var hasResidual: Bool

  package init(
    hasUpdate: Bool = false, activation: Activation = .none, hasGate: Bool = false,
    hasResidual: Bool = false
  ) {
    self.hasUpdate = hasUpdate
    self.activation = activation
    self.hasGate = hasGate
    self.hasResidual = hasResidual
  }

  /// Where the gate stands among the operands, if there is one.
  package var gateIndex: Int { hasUpdate ? 3 : 1 }

  /// A residual, and a gate that is not repeated, are read where the result is written; what is
  /// multiplied is read again for other outputs.
  func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] {
    let residual = hasResidual ? [operands.count - 1] : []
    return residual
      + (hasGate && operands[gateIndex].shape == result ? [gateIndex] : [])
  }

  func checkOperandCount(_ operands: [Value], _ op: String) throws(ShapeError) {
    let expected = gateIndex + (hasGate ? 1 : 0) + (hasResidual ? 1 : 0)
    guard operands.count == expected else {
      throw ShapeError(op, "takes \(expected) operands, was given \(operands.count)")
    }
  }

  /// Checks what stands behind the first operand against the product's shape.
  func checkShapes(
    _ operands: [Value], _ result: Shape, bias: WeightReference?, _ op: String
  ) throws(ShapeError) {
    if let bias, bias.shape != [result.last] {
      throw ShapeError(op, "bias \(bias.name) \(bias.shape) does not fit \(result)")
    }
    if hasUpdate {
      let (inner, up) = (operands[1].shape, operands[2].shape)
      guard inner.last.isMultiple(of: 2), inner.replacingLast(with: result.last) == result,
        up == Matmul.matrixShape(outputs: result.last, inputs: inner.last)
      else { throw ShapeError(op, "\(inner) and \(up) do not make \(result)") }
    }
    if hasGate {
      let gate = operands[gateIndex].shape
      guard gate == result || gate.isRow(over: result) else {
        throw ShapeError(op, "gate \(gate) does not broadcast over \(result)")
      }
    }
    if hasResidual, operands[operands.count - 1].shape != result {
      throw ShapeError(op, "residual \(operands[operands.count - 1].shape) is not \(result)")
    }
  }

  /// This epilogue followed by `next`; nil if there is no place for it.
  /// - Parameters:
  ///   - others: What `next` reads beside the product.
  ///   - result: The product.
  ///   - index: Where the product stands among the operands of `next`.
  func absorbing(_ next: Op, _ others: [Value], result: Value, at index: Int) -> Epilogue? {
    var epilogue = self
    if case .activation(let function) = next, activation == .none, !hasGate, !hasResidual {
      epilogue.activation = function
      return epilogue
    }
    guard case .binary(let function) = next else { return nil }
    switch function {
    // A broadcast operand only stands second, so the product must be the first or of equal shape.
    case .multiply
    where !hasGate && !hasResidual
      && (index == 0 || others[0].shape == result.shape):
      epilogue.hasGate = true
    case .add where !hasResidual && others[0].shape == result.shape:
      epilogue.hasResidual = true
    case .add, .multiply: return nil
    }
    return epilogue
  }
}
