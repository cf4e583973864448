package import TensorTypes

/// What is left of a convolution whose products were taken place by place: each pixel of the
/// result is the sum, over the kernel, of what the pixel under each of its places has for it.
///
/// `[batch, y, x, kernelHeight * kernelWidth * channel]`, channel innermost, to `[batch, y, x,
/// channel]` of the convolution's height and width. With a product before it, it is a convolution
/// of few outputs that never gathers patches: Vasudevan et al. 2017, "Parallel Multi Channel
/// Convolution using General Matrix Multiplication" (kn2row).
package struct PatchSum: OpPayload {
  package var name: String { "patchSum" }
  /// Whose kernel, stride, padding and upsampling it has.
  package let convolution: Convolution

  package init(of convolution: Convolution) { self.convolution = convolution }

  /// Places of the kernel.
  package var places: Int { convolution.kernelHeight * convolution.kernelWidth }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.rank == 4, x.last > 0, x.last.isMultiple(of: places) else {
      throw ShapeError(name, "\(x) has no \(places) parts")
    }
    return try convolution.resultShape(of: x, channels: x.last / places)
  }
}
