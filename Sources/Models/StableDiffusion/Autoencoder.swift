import Graph
import TensorTypes

/// The autoencoder of Stable Diffusion: diffusers' `AutoencoderKL`. Rombach et al. 2022,
/// "High-Resolution Image Synthesis with Latent Diffusion Models", appendix G.
struct Autoencoder {
  let configuration: AutoencoderConfiguration

  /// `pixels` `[batch, y * scale, x * scale, 3]`, red, green and blue, -1 to 1, to `latents`
  /// `[batch, y, x, latentChannels]`: the mean of what diffusers draws a sample of.
  func encoder(batch: Int, latentHeight: Int, latentWidth: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("encoder")
    let weights = WeightScope()["encoder"]
    let pixels = g.input("pixels", [batch, latentHeight * c.scale, latentWidth * c.scale, 3])
    var x = g.convolution(pixels, weights["conv_in"], outputs: c.widths[0])
    for (index, width) in c.widths.enumerated() {
      let block = weights["down_blocks"][index]
      for layer in 0..<c.layers { x = residual(g, x, block["resnets"][layer], outputs: width) }
      if index < c.widths.count - 1 {
        // [batch, y / 2, x / 2, width]
        x = g.convolution(
          x, block["downsamplers"][0]["conv"], outputs: width, stride: 2, padding: .end)
      }
      g.tap("encoder.down_blocks.\(index)", x)
    }
    x = middle(g, x, weights["mid_block"])
    g.tap("encoder.mid_block", x)
    x = g.silu(g.groupNorm(x, weights["conv_norm_out"], groups: c.groups, epsilon: epsilon))
    // Means, then the logarithms of variances, which nothing reads.
    x = g.convolution(x, weights["conv_out"], outputs: 2 * c.latentChannels)
    if c.hasQuantization {
      x = g.linear(x, WeightScope()["quant_conv"], outputs: 2 * c.latentChannels)
    }
    g.output("latents", g.slice(x, 0..<c.latentChannels))
    return g.build()
  }

  /// `latents` `[batch, y, x, latentChannels]` to `pixels` `[batch, y * scale, x * scale, 3]`,
  /// red, green and blue, about -1 to 1.
  func decoder(batch: Int, latentHeight: Int, latentWidth: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("decoder")
    let weights = WeightScope()["decoder"]
    var x = g.input("latents", [batch, latentHeight, latentWidth, c.latentChannels])
    if c.hasPostQuantization {
      x = g.linear(x, WeightScope()["post_quant_conv"], outputs: c.latentChannels)
    }
    x = g.convolution(x, weights["conv_in"], outputs: c.widths[c.widths.count - 1])
    x = middle(g, x, weights["mid_block"])
    g.tap("decoder.mid_block", x)
    for (index, width) in c.widths.reversed().enumerated() {
      let block = weights["up_blocks"][index]
      for layer in 0...c.layers { x = residual(g, x, block["resnets"][layer], outputs: width) }
      if index < c.widths.count - 1 {
        // [batch, 2 * y, 2 * x, width]
        x = g.convolution(x, block["upsamplers"][0]["conv"], outputs: width, upsampling: 2)
      }
      g.tap("decoder.up_blocks.\(index)", x)
    }
    x = g.silu(g.groupNorm(x, weights["conv_norm_out"], groups: c.groups, epsilon: epsilon))
    g.output("pixels", g.convolution(x, weights["conv_out"], outputs: 3))
    return g.build()
  }

  private var epsilon: Float { 1e-6 }

  private var residual: ResidualBlock {
    ResidualBlock(groups: configuration.groups, epsilon: epsilon)
  }

  private func middle(_ g: GraphBuilder, _ input: Value, _ weights: WeightScope) -> Value {
    let channels = input.shape.last
    var x = residual(g, input, weights["resnets"][0], outputs: channels)
    if configuration.hasAttention { x = attention(g, x, weights["attentions"][0]) }
    return residual(g, x, weights["resnets"][1], outputs: channels)
  }

  /// One head over all places, `[batch, y, x, channel]`.
  private func attention(_ g: GraphBuilder, _ input: Value, _ weights: WeightScope) -> Value {
    let width = input.shape.last
    let places = g.reshape(input, [input.shape[0], input.shape[1] * input.shape[2], width])
    var x = g.groupNorm(
      places, weights["group_norm"], groups: configuration.groups, epsilon: epsilon)
    let all = GraphBuilder.KeyValueSegment(
      keys: g.linear(x, weights["to_k"], outputs: width),
      values: g.linear(x, weights["to_v"], outputs: width))
    x = g.attention(
      g.linear(x, weights["to_q"], outputs: width), [all], heads: 1, keyValueHeads: 1)
    x = g.linear(x, weights["to_out"][0], outputs: width)  // [batch, token, channel]
    return g.reshape(g.add(places, x), input.shape)  // [batch, y, x, channel]
  }
}
