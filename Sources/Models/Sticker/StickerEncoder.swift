import Graph
import TensorTypes

/// The first half of a deep-compression autoencoder over premultiplied RGBA: a linear code of
/// whole patches, and convolutional stages that add what it cannot say.
///
/// After Chen et al. 2024, "Deep Compression Autoencoder for Efficient High-Resolution Diffusion
/// Models", section 3.1 (residual autoencoding).
struct StickerEncoder {
  let configuration: StickerConfiguration.Encoder
  let weights: StickerWeightMap.Encoder

  init(_ configuration: StickerConfiguration.Encoder) {
    self.configuration = configuration
    weights = StickerWeightMap.Encoder(configuration)
  }

  /// `[batch, y * patch, x * patch, 4]` to `[batch, y, x, latentChannels]`.
  func encoder(batch: Int, latentHeight: Int, latentWidth: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("encoder")
    let pixels = g.input("pixels", [batch, latentHeight * c.patch, latentWidth * c.patch, 4])
    let linear = g.linear(
      g.spaceToDepth(pixels, factor: c.patch), weights.linear.weight, bias: weights.linear.bias)

    var x = g.spaceToDepth(pixels, factor: c.headFactor)
    x = g.linear(x, weights.stem.weight, bias: weights.stem.bias)
    for stage in c.widths.indices {
      for block in weights.stages[stage] { x = residualBlock(g, x, block, epsilon: c.normEpsilon) }
      g.tap("encoder.stages.\(stage)", x)
      guard stage + 1 < c.widths.count else { break }
      let step = weights.steps[stage]
      x = g.linear(g.spaceToDepth(x, factor: 2), step.weight, bias: step.bias)
    }
    x = g.silu(g.rmsNorm(x, weight: weights.headNorm, epsilon: c.normEpsilon))
    x = g.linear(x, weights.head.weight, bias: weights.head.bias)
    g.output("latents", g.add(x, linear))
    return g.build()
  }
}

/// `x + convolution(silu(norm(convolution(silu(norm(x))))))`, of the shape of `x`.
private func residualBlock(
  _ g: GraphBuilder, _ x: Value, _ block: StickerWeightMap.ResidualBlock, epsilon: Float
) -> Value {
  var h = g.silu(g.rmsNorm(x, weight: block.norm1, epsilon: epsilon))
  h = g.convolution(h, block.convolution1.weight, bias: block.convolution1.bias)
  h = g.silu(g.rmsNorm(h, weight: block.norm2, epsilon: epsilon))
  return g.add(x, g.convolution(h, block.convolution2.weight, bias: block.convolution2.bias))
}
