import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The denoiser of Stable Diffusion and of what was pruned from it: diffusers'
/// `UNet2DConditionModel`. Rombach et al. 2022, "High-Resolution Image Synthesis with Latent
/// Diffusion Models"; Kim et al. 2023, "BK-SDM: A Lightweight, Fast, and Cheap Version of Stable
/// Diffusion".
struct UNet {
  let configuration: UNetConfiguration

  /// The text's keys and values for every attention to it; they do not depend on the noise level.
  /// Input `hidden` `[batch, token, textWidth]`; outputs `keys.PLACE` and `values.PLACE`
  /// `[batch, token, channel]`, as many as the network has inputs of these names.
  func context(batch: Int, tokens: Int) -> Graph {
    let side = configuration.scale
    let network = graph(batch: 1, tokens: 1, height: side, width: side)
    let g = GraphBuilder("context")
    let hidden = g.input("hidden", [batch, tokens, configuration.textWidth])
    for input in network.inputs where input.name.hasPrefix("keys.") {
      let (place, width) = (input.name.dropFirst("keys.".count), input.value.shape.last)
      let weights = WeightScope()[String(place)]
      g.output("keys.\(place)", g.linear(hidden, weights["to_k"], outputs: width, hasBias: false))
      g.output("values.\(place)", g.linear(hidden, weights["to_v"], outputs: width, hasBias: false))
    }
    return g.build()
  }

  /// `latents` `[batch, y, x, outChannels]` at `time` `[batch]`, counted in steps of training, to
  /// `prediction` of their shape.
  ///
  /// A network that reads more channels has an input `source` `[batch, y, x, channel]` with them
  /// (for inpainting, the mask and the latents of what it leaves); one with guidance distilled into
  /// it has an input `guidance` `[batch]`, the scale less 1.
  /// - Precondition: Height and width are multiples of the configuration's `scale`.
  func graph(batch: Int, tokens: Int, height: Int, width: Int) -> Graph {
    let c = configuration
    precondition(height % c.scale == 0 && width % c.scale == 0, "\(width)x\(height) latents")
    let weights = WeightScope()
    let g = GraphBuilder("denoiser")
    var x = g.input("latents", [batch, height, width, c.outChannels])
    if c.inChannels > c.outChannels {
      let source = g.input("source", [batch, height, width, c.inChannels - c.outChannels])
      x = g.concatenate([x, source])  // [batch, y, x, inChannels]
    }
    let blocks = Blocks(
      g: g, configuration: c, time: time(g, batch: batch, weights["time_embedding"]),
      tokens: tokens)

    x = g.convolution(x, weights["conv_in"], outputs: c.down[0].channels)
    g.tap("conv_in", x)
    var skips = [x]
    for (index, level) in c.down.enumerated() {
      let isLast = index == c.down.count - 1
      x = blocks.down(x, level, weights["down_blocks"][index], isLast: isLast, &skips)
      g.tap("down_blocks.\(index)", x)
    }
    x = blocks.middle(x, c.middle, weights["mid_block"])
    g.tap("mid_block", x)
    for (index, level) in c.up.enumerated() {
      let isLast = index == c.up.count - 1
      x = blocks.up(x, level, weights["up_blocks"][index], isLast: isLast, &skips)
      g.tap("up_blocks.\(index)", x)
    }
    x = g.silu(
      g.groupNorm(x, weights["conv_norm_out"], groups: c.groups, epsilon: c.normEpsilon))
    // [batch, y, x, outChannels]
    g.output("prediction", g.convolution(x, weights["conv_out"], outputs: c.outChannels))
    return g.build()
  }

  /// What the residual blocks know of the noise level, `[batch, timeWidth]`.
  private func time(_ g: GraphBuilder, batch: Int, _ weights: WeightScope) -> Value {
    let c = configuration
    let width = c.down[0].channels
    var x = g.sinusoidal(g.input("time", [batch]), width: width / 2 * 2, scale: 1)
    // Diffusers ends an odd width with a zero.
    if width % 2 == 1 { x = g.concatenate([x, g.scale(g.slice(x, 0..<1), by: 0)]) }
    if let channels = c.guidanceChannels {
      let guidance = self.guidance(g, g.input("guidance", [batch]), channels: channels)
      x = g.add(x, g.linear(guidance, weights["cond_proj"], outputs: width, hasBias: false))
    }
    x = g.silu(g.linear(x, weights["linear_1"], outputs: c.timeWidth))
    x = g.linear(x, weights["linear_2"], outputs: c.timeWidth)
    g.tap("time_embedding", x)
    return g.silu(x)
  }

  /// `[batch]` to `[batch, channels]`: sines, then cosines, whose last period is 10,000. Luo et al.
  /// 2023, "Latent Consistency Models", section 4.2.
  private func guidance(_ g: GraphBuilder, _ scale: Value, channels: Int) -> Value {
    let pairs = Double(channels / 2)
    let cosinesAndSines = g.sinusoidal(
      scale, width: channels, scale: 1000, maximumPeriod: Float(pow(10_000, pairs / (pairs - 1))))
    return g.concatenate(g.split(cosinesAndSines, into: 2).reversed())
  }
}

/// The blocks of one resolution, with what all of them read.
private struct Blocks {
  let g: GraphBuilder
  let configuration: UNetConfiguration
  /// `[batch, timeWidth]`.
  let time: Value
  let tokens: Int

  /// `[batch, y, x, channel]` to half the height and width, but for the last; what each layer gives
  /// is kept for the way up.
  func down(
    _ input: Value, _ level: UNetConfiguration.Level, _ weights: WeightScope, isLast: Bool,
    _ skips: inout [Value]
  ) -> Value {
    var x = input
    for layer in 0..<level.layers {
      x = self.layer(x, layer, channels: level.channels, level.attention, weights)
      skips.append(x)
    }
    if isLast { return x }
    x = g.convolution(
      x, weights["downsamplers"][0]["conv"], outputs: level.channels, stride: 2)
    skips.append(x)
    return x  // [batch, y / 2, x / 2, channel]
  }

  func middle(
    _ input: Value, _ middle: UNetConfiguration.Middle, _ weights: WeightScope
  ) -> Value {
    let channels = input.shape.last
    switch middle {
    case .none: return input
    case .residual: return layer(input, 0, channels: channels, nil, weights)
    case .attention(let attention):
      let x = layer(input, 0, channels: channels, attention, weights)
      return layer(x, 1, channels: channels, nil, weights)
    }
  }

  /// `[batch, y, x, channel]`, beside what was kept on the way down, to twice the height and width,
  /// but for the last.
  func up(
    _ input: Value, _ level: UNetConfiguration.Level, _ weights: WeightScope, isLast: Bool,
    _ skips: inout [Value]
  ) -> Value {
    var x = input
    for layer in 0..<level.layers {
      x = g.concatenate([x, skips.removeLast()])
      x = self.layer(x, layer, channels: level.channels, level.attention, weights)
    }
    if isLast { return x }
    return g.convolution(
      x, weights["upsamplers"][0]["conv"], outputs: level.channels, upsampling: 2)
  }

  private func layer(
    _ input: Value, _ index: Int, channels: Int, _ attention: UNetConfiguration.Attention?,
    _ weights: WeightScope
  ) -> Value {
    let residual = ResidualBlock(
      groups: configuration.groups, epsilon: configuration.normEpsilon)
    let x = residual(g, input, time: time, weights["resnets"][index], outputs: channels)
    guard let attention else { return x }
    let transformer = SpatialTransformer(
      heads: attention.heads, layers: attention.layers, groups: configuration.groups, text: text)
    return transformer(g, x, weights["attentions"][index])
  }

  private func text(_ place: WeightScope, width: Int) -> GraphBuilder.KeyValueSegment {
    let shape: Shape = [time.shape[0], tokens, width]
    return GraphBuilder.KeyValueSegment(
      keys: g.input("keys.\(place)", shape), values: g.input("values.\(place)", shape))
  }
}
