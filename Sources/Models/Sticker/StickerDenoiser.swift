import Graph
import TensorTypes

/// The latent diffusion transformer: grouped-query attention over latents and text, modulation
/// shared by all layers (Chen et al. 2023, "PixArt-alpha", section 2.3), SwiGLU.
struct StickerDenoiser {
  let configuration: StickerConfiguration.Denoiser

  /// The text's keys and values for every layer; they do not depend on the noise level. Input
  /// `hidden` `[batch, token, textWidth]`; outputs `keys.N` and `values.N` `[batch, token, kv]`.
  func context(batch: Int, tokens: Int) -> Graph {
    let c = configuration
    let weights = WeightScope()
    let g = GraphBuilder("context")
    let hidden = g.input("hidden", [batch, tokens, c.textWidth])
    // [batch, token, layers * (k, v)]
    let all = g.linear(hidden, weights["text_kv"], outputs: c.layers * 2 * c.keyValueWidth)
    for (layer, keyValue) in g.split(all, into: c.layers).enumerated() {
      let parts = g.split(keyValue, into: 2)  // [batch, token, kv] twice
      let keys = g.headNorm(
        parts[0], heads: c.keyValueHeads,
        weight: weights["layers"][layer]["text_k_norm"].tensor([c.headWidth]),
        epsilon: c.normEpsilon, grid: nil)
      g.output("keys.\(layer)", keys)
      g.output("values.\(layer)", parts[1])
    }
    return g.build()
  }

  /// `latents` `[batch, token, latentChannels]` at `time` `[batch]` to `prediction` of their shape.
  func graph(batch: Int, tokens: Int) -> Graph {
    let c = configuration
    let weights = WeightScope()
    let g = GraphBuilder("denoiser")
    let latents = g.input("latents", [batch, c.tokens, c.latentChannels])
    let time = g.input("time", [batch])
    let pooled = g.input("pooled", [batch, c.textWidth])
    let bias = g.input("bias", [batch, tokens])
    let condition = self.condition(g, time: time, pooled: pooled, weights)  // [batch, width]
    let shared = g.linear(condition, weights["modulation"], outputs: 6 * c.width)

    var x = g.linear(latents, weights["input"], outputs: c.width)  // [batch, token, width]
    g.tap("denoiser.input", x)
    for layer in 0..<c.layers {
      let keyValueShape: Shape = [batch, tokens, c.keyValueWidth]
      let text = GraphBuilder.KeyValueSegment(
        keys: g.input("keys.\(layer)", keyValueShape),
        values: g.input("values.\(layer)", keyValueShape), bias: bias)
      x = block(g, x, shared: shared, text: text, weights["layers"][layer])
      g.tap("denoiser.layers.\(layer)", x)
    }

    let final = g.split(
      g.linear(condition, weights["final_modulation"], outputs: 2 * c.width), into: 2)
    x = g.modulatedRMSNorm(x, shift: final[0], scale: final[1], epsilon: c.normEpsilon)
    // [batch, token, latentChannels]
    g.output("prediction", g.linear(x, weights["output"], outputs: c.latentChannels))
    return g.build()
  }

  /// What the layers are modulated by: noise level and pooled text, `[batch, width]`.
  private func condition(
    _ g: GraphBuilder, time: Value, pooled: Value, _ weights: WeightScope
  ) -> Value {
    let c = configuration
    let features = g.sinusoidal(time, width: c.sigmaChannels, scale: 1000)
    let hidden = g.silu(g.linear(features, weights["sigma"][0], outputs: c.width))
    let level = g.linear(hidden, weights["sigma"][2], outputs: c.width)
    let text = g.linear(pooled, weights["pooled"], outputs: c.width)
    return g.silu(g.add(level, text))
  }

  private func block(
    _ g: GraphBuilder, _ input: Value, shared: Value, text: GraphBuilder.KeyValueSegment,
    _ weights: WeightScope
  ) -> Value {
    let c = configuration
    let table = g.parameter(
      weights["modulation"].tensor([6, c.width]), as: [6 * c.width])
    let m = g.split(g.add(shared, table), into: 6)  // [batch, width] each
    var x = input

    var h = g.modulatedRMSNorm(x, shift: m[0], scale: m[1], epsilon: c.normEpsilon)
    h = c.attention(
      g, h, queryKeyValue: weights["qkv"], queryNorm: weights["q_norm"].tensor([c.headWidth]),
      keyNorm: weights["k_norm"].tensor([c.headWidth]), text: [text])
    h = g.linear(h, weights["out"], outputs: c.width, hasBias: false)
    x = g.add(x, g.multiply(h, m[2]))

    h = g.modulatedRMSNorm(x, shift: m[3], scale: m[4], epsilon: c.normEpsilon)
    h = swiGLU(g, h, weights, hidden: c.hiddenWidth)  // [batch, token, hidden]
    h = g.linear(h, weights["down"], outputs: c.width, hasBias: false)
    return g.add(x, g.multiply(h, m[5]))
  }
}

extension StickerConfiguration.Denoiser {
  fileprivate var attention: GroupedQueryAttention {
    GroupedQueryAttention(
      heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      grid: HeadNorm.Grid(height: latentHeight, width: latentWidth, base: ropeBase),
      epsilon: normEpsilon)
  }
}
