package import TensorTypes

/// A two-dimensional convolution with zeros around the picture, and with the same epilogue as
/// `Linear`.
///
/// Operands: x `[batch, y, x, in]`; then gate and residual as in `Linear`. The result is
/// `[batch, y, x, out]`, of x's height and width times `upsampling`, over `stride`.
package struct Convolution: OpPayload {
  package var name: String { "convolution" }
  /// Where the zeros are: as many lines and columns as half the kernel has.
  package enum Padding: Hashable, Sendable {
    case allSides
    /// Below and to the right only, as in the encoder of Stable Diffusion's autoencoder.
    case end
  }

  /// `[out, kernelHeight, kernelWidth, in]`, odd kernel sizes.
  package let weight: WeightReference
  /// `[out]`.
  package let bias: WeightReference?
  /// Lines, and columns, from one patch to the next.
  package let stride: Int
  package let padding: Padding
  /// Each pixel of x is read as a square of so many lines and columns: the nearest-neighbour
  /// enlargement before the convolution, which is never in memory.
  package let upsampling: Int
  package var epilogue: Epilogue

  package init(
    weight: WeightReference, bias: WeightReference? = nil, stride: Int = 1,
    padding: Padding = .allSides, upsampling: Int = 1, epilogue: Epilogue = Epilogue()
  ) {
    self.weight = weight
    self.bias = bias
    self.stride = stride
    self.padding = padding
    self.upsampling = upsampling
    self.epilogue = epilogue
  }

  package var kernelHeight: Int { weight.shape[1] }
  package var kernelWidth: Int { weight.shape[2] }
  /// Lines of zeros above the picture.
  package var paddingTop: Int { padding == .end ? 0 : kernelHeight / 2 }
  /// Columns of zeros to the left of the picture.
  package var paddingLeft: Int { padding == .end ? 0 : kernelWidth / 2 }

  package var takesQuantized: Bool { true }

  package var weights: [WeightReference] { [weight, bias].compactMap { $0 } }

  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] {
    epilogue.replaceableOperands(operands, result: result)
  }

  package func operationCount(_ operands: [Value], result: Shape) -> Int {
    2 * result.count
      * (weight.shape.count / weight.shape[0] + (epilogue.hasUpdate ? operands[1].shape.last : 0))
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    try epilogue.checkOperandCount(operands, name)
    let x = operands[0].shape
    let w = weight.shape
    guard x.rank == 4, w.rank == 4, w[1] % 2 == 1, w[2] % 2 == 1, x.last == w[3] else {
      throw ShapeError(name, "\(weight.name) \(w) does not take \(x)")
    }
    let result = try resultShape(of: x, channels: w[0])
    try epilogue.checkShapes(operands, result, bias: bias, name)
    return result
  }

  /// The shape of a picture of so many channels that is made by walking over `x` as this does.
  func resultShape(of x: Shape, channels: Int) throws(ShapeError) -> Shape {
    guard stride > 0, upsampling > 0 else {
      throw ShapeError(name, "stride \(stride), upsampling \(upsampling): both are at least 1")
    }
    let lines = x[1] * upsampling + paddingTop + kernelHeight / 2 - kernelHeight
    let columns = x[2] * upsampling + paddingLeft + kernelWidth / 2 - kernelWidth
    guard lines >= 0, columns >= 0 else {
      throw ShapeError(name, "\(weight.name) \(weight.shape) does not fit into \(x)")
    }
    return [x[0], lines / stride + 1, columns / stride + 1, channels]
  }
}
