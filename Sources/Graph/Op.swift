package import TensorTypes

/// Everything that a backend must be able to do; closed, so that the compiler finds every
/// lowering that a new op needs.
///
/// Tensors are channels-last: `[batch, token, channel]` or `[batch, y, x, channel]`.
package enum Op: Hashable, Sendable {
  case parameter(Parameter)
  case embedding(Embedding)
  case sinusoidal(Sinusoidal)
  case linear(Linear)
  case product(Product)
  case convolution(Convolution)
  case norm(Norm)
  case rotary(Rotary)
  case attention(Attention)
  case activation(Activation)
  case add
  case multiply
  case slice(Slice)
  case meanPool
  case depthToSpace(DepthToSpace)
  case spaceToDepth(SpaceToDepth)
  case reshape(Shape)

  /// The op's name in dumps, timings and kernel names.
  package var name: String {
    switch self {
    case .parameter: "parameter"
    case .embedding: "embedding"
    case .sinusoidal: "sinusoidal"
    case .linear: "linear"
    case .product: "product"
    case .convolution: "convolution"
    case .norm: "norm"
    case .rotary: "rotary"
    case .attention: "attention"
    case .activation(let function): "activation.\(function.rawValue)"
    case .add: "add"
    case .multiply: "multiply"
    case .slice: "slice"
    case .meanPool: "meanPool"
    case .depthToSpace: "depthToSpace"
    case .spaceToDepth: "spaceToDepth"
    case .reshape: "reshape"
    }
  }

  /// The stored tensors that the op reads.
  package var weights: [WeightReference] {
    switch self {
    case .parameter(let op): [op.weight]
    case .embedding(let op): [op.table]
    case .linear(let op): [op.weight] + (op.bias.map { [$0] } ?? [])
    case .convolution(let op): [op.weight] + (op.bias.map { [$0] } ?? [])
    case .norm(let op): [op.weight, op.bias].compactMap { $0 }
    case .rotary(let op): op.weight.map { [$0] } ?? []
    case .product, .sinusoidal, .attention, .activation, .add, .multiply, .slice, .meanPool,
      .depthToSpace,
      .spaceToDepth, .reshape:
      []
    }
  }

  /// The shape of the result, or what is wrong with the operands.
  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    switch self {
    case .parameter(let op): try op.resultShape(operands)
    case .embedding(let op): try op.resultShape(operands)
    case .sinusoidal(let op): try op.resultShape(operands)
    case .linear(let op): try op.resultShape(operands)
    case .product(let op): try op.resultShape(operands)
    case .convolution(let op): try op.resultShape(operands)
    case .norm(let op): try op.resultShape(operands)
    case .rotary(let op): try op.resultShape(operands)
    case .attention(let op): try op.resultShape(operands)
    case .activation: try operands.only("activation").shape
    case .add, .multiply: try broadcastShape(operands, name)
    case .slice(let op): try op.resultShape(operands)
    case .meanPool: try meanPoolShape(operands)
    case .depthToSpace(let op): try op.resultShape(operands)
    case .spaceToDepth(let op): try op.resultShape(operands)
    case .reshape(let shape):
      try operands.only("reshape").reshaped(to: shape)
    }
  }

  /// Multiply-adds count as two. Only matrix products are counted: linears,
  /// products, convolutions and attention.
  package func operationCount(_ operands: [Value], result: Shape) -> Int {
    switch self {
    case .linear(let op):
      2 * result.count * (op.weight.shape[1] + (op.epilogue.hasUpdate ? operands[1].shape.last : 0))
    case .product: 2 * result.count * operands[0].shape.last
    case .convolution(let op): 2 * result.count * op.weight.shape.count / op.weight.shape[0]
    case .attention(let op): op.operationCount(operands)
    default: 0
    }
  }
}

/// An op was given operands that it cannot take.
package struct ShapeError: Error, Equatable, CustomStringConvertible {
  package let op: String
  package let reason: String

  package init(_ op: String, _ reason: String) {
    self.op = op
    self.reason = reason
  }

  package var description: String { "\(op): \(reason)" }
}

extension [Value] {
  /// The single operand of a unary op.
  func only(_ op: String) throws(ShapeError) -> Value {
    guard count == 1 else { throw ShapeError(op, "takes 1 operand, was given \(count)") }
    return self[0]
  }
}

extension Value {
  func reshaped(to target: Shape) throws(ShapeError) -> Shape {
    guard shape.count == target.count else {
      throw ShapeError("reshape", "\(shape) does not hold as many elements as \(target)")
    }
    return target
  }
}

/// The second operand is of the same shape as the first, one row `[channel]`, or one row a batch
/// item `[batch, channel]`.
func broadcastShape(_ operands: [Value], _ op: String) throws(ShapeError) -> Shape {
  guard operands.count == 2 else {
    throw ShapeError(op, "takes 2 operands, was given \(operands.count)")
  }
  let (a, b) = (operands[0].shape, operands[1].shape)
  guard a == b || isRowBroadcast(b, over: a) else {
    throw ShapeError(op, "\(b) does not broadcast over \(a)")
  }
  return a
}

/// Whether `row` is `[channel]` or `[batch, channel]` for a tensor `[batch, …, channel]`.
package func isRowBroadcast(_ row: Shape, over shape: Shape) -> Bool {
  guard row.last == shape.last else { return false }
  return row.rank == 1 || (row.rank == 2 && shape.rank >= 2 && row[0] == shape[0])
}

/// `[batch, token, channel]` and a mask `[batch, token]` of ones and zeros give `[batch, channel]`.
func meanPoolShape(_ operands: [Value]) throws(ShapeError) -> Shape {
  guard operands.count == 2, operands[0].shape.rank == 3 else {
    throw ShapeError("meanPool", "takes [batch, token, channel] and a mask [batch, token]")
  }
  let (x, mask) = (operands[0].shape, operands[1].shape)
  guard mask == [x[0], x[1]] else {
    throw ShapeError("meanPool", "mask \(mask) does not fit \(x)")
  }
  return [x[0], x[2]]
}
