import Graph
import TensorTypes

/// The first half of a deep-compression autoencoder over premultiplied RGBA: a linear code of
/// whole patches, and convolutional stages that add what it cannot say.
///
/// After Chen et al. 2024, "Deep Compression Autoencoder for Efficient High-Resolution Diffusion
/// Models", section 3.1 (residual autoencoding).
struct StickerEncoder {
  let configuration: StickerConfiguration.Encoder

  /// `pixels` `[batch, y * patch, x * patch, 4]` to `latents` `[batch, y, x, latentChannels]`.
  func graph(batch: Int, latentHeight: Int, latentWidth: Int) -> Graph {
    let c = configuration
    let weights = WeightScope()
    let g = GraphBuilder("encoder")
    let pixels = g.input("pixels", [batch, latentHeight * c.patch, latentWidth * c.patch, 4])
    let linear = g.linear(
      g.spaceToDepth(pixels, factor: c.patch), weights["linear_in"], outputs: c.latentChannels)

    var x = g.spaceToDepth(pixels, factor: c.headFactor)
    x = g.linear(x, weights["stem"], outputs: c.widths[0])
    for (stage, width) in c.widths.enumerated() {
      let scope = weights["stages"][stage]
      if stage > 0 { x = g.linear(g.spaceToDepth(x, factor: 2), scope["down"], outputs: width) }
      for block in 0..<c.blocks[stage] { x = residualBlock(g, x, scope["blocks"][block]) }
      g.tap("encoder.stages.\(stage)", x)
    }
    x = g.silu(g.rmsNorm(x, weights["norm"], epsilon: c.normEpsilon))
    x = g.linear(x, weights["head"], outputs: c.latentChannels)
    g.output("latents", g.add(x, linear))
    return g.build()
  }

  /// `x + convolution(silu(norm(convolution(silu(norm(x))))))`, of the shape of `x`.
  private func residualBlock(_ g: GraphBuilder, _ x: Value, _ weights: WeightScope) -> Value {
    let (epsilon, width) = (configuration.normEpsilon, x.shape.last)
    var h = g.silu(g.rmsNorm(x, weights["norm1"], epsilon: epsilon))
    h = g.convolution(h, weights["conv1"], outputs: width)
    h = g.silu(g.rmsNorm(h, weights["norm2"], epsilon: epsilon))
    return g.add(x, g.convolution(h, weights["conv2"], outputs: width))
  }
}
