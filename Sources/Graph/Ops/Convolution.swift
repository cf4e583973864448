package import TensorTypes

/// A two-dimensional convolution of stride 1 whose result has its input's height and width
/// (zero padding of half the kernel), with the same epilogue as `Linear`.
///
/// Operands: x `[batch, y, x, in]`; then gate and residual as in `Linear`. The result is
/// `[batch, y, x, out]`.
package struct Convolution: OpPayload {
  package var name: String { "convolution" }
  /// `[out, kernelHeight, kernelWidth, in]`, odd kernel sizes.
  package let weight: WeightReference
  /// `[out]`.
  package let bias: WeightReference?
  package var epilogue: Epilogue

  package init(
    weight: WeightReference, bias: WeightReference? = nil, epilogue: Epilogue = Epilogue()
  ) {
    self.weight = weight
    self.bias = bias
    self.epilogue = epilogue
  }

  package var takesQuantized: Bool { true }

  package var weights: [WeightReference] { [weight, bias].compactMap { $0 } }

  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] {
    epilogue.replaceableOperands(operands, result: result)
  }

  package func operationCount(_ operands: [Value], result: Shape) -> Int {
    2 * result.count * weight.shape.count / weight.shape[0]
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try epilogue.checkOperandCount(operands, name)
    let x = operands[0].shape
    let w = weight.shape
    guard x.rank == 4, w.rank == 4, w[1] % 2 == 1, w[2] % 2 == 1, x.last == w[3] else {
      throw ShapeError(name, "\(weight.name) \(w) does not take \(x)")
    }
    let result = x.replacingLast(with: w[0])
    try epilogue.checkShapes(operands, result, bias: bias, name)
    return result
  }
}
