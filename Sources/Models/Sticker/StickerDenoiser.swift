import Graph
import TensorTypes

/// The latent diffusion transformer: grouped-query attention over latents and text, modulation
/// shared by all layers (Chen et al. 2023, "PixArt-alpha", section 2.3), SwiGLU.
struct StickerDenoiser {
  let configuration: StickerConfiguration.Denoiser
  let weights: StickerWeightMap.Denoiser

  init(_ configuration: StickerConfiguration.Denoiser) {
    self.configuration = configuration
    weights = StickerWeightMap.Denoiser(configuration)
  }

  /// The text's keys and values for every layer; they do not depend on the noise level.
  func context(batch: Int, tokens: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("context")
    let hidden = g.input("hidden", [batch, tokens, c.textWidth])
    // [batch, token, layers * (k, v)]
    let all = g.linear(hidden, weights.textKeyValue.weight, bias: weights.textKeyValue.bias)
    for (layer, keyValue) in g.split(all, into: c.layers).enumerated() {
      let parts = g.split(keyValue, into: 2)  // [batch, token, kv] twice
      let keys = g.headNorm(
        parts[0], heads: c.keyValueHeads, weight: weights.layers[layer].textKeyNorm,
        epsilon: c.normEpsilon, grid: nil)
      g.output("keys.\(layer)", keys)
      g.output("values.\(layer)", parts[1])
    }
    return g.build()
  }

  func denoiser(batch: Int, tokens: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("denoiser")
    let latents = g.input("latents", [batch, c.tokens, c.latentChannels])
    let sigma = g.input("sigma", [batch])
    let pooled = g.input("pooled", [batch, c.textWidth])
    let bias = g.input("bias", [batch, tokens])
    let condition = self.condition(g, sigma: sigma, pooled: pooled)  // [batch, width]
    let shared = g.linear(condition, weights.modulation.weight, bias: weights.modulation.bias)

    // [batch, token, width]
    var x = g.linear(latents, weights.input.weight, bias: weights.input.bias)
    g.tap("denoiser.input", x)
    for layer in 0..<c.layers {
      let keyValueShape: Shape = [batch, tokens, c.keyValueWidth]
      let text = GraphBuilder.KeyValueSegment(
        keys: g.input("keys.\(layer)", keyValueShape),
        values: g.input("values.\(layer)", keyValueShape), bias: bias)
      x = block(g, x, shared: shared, text: text, weights.layers[layer])
      g.tap("denoiser.layers.\(layer)", x)
    }

    let final = g.split(
      g.linear(condition, weights.finalModulation.weight, bias: weights.finalModulation.bias),
      into: 2)
    x = g.modulatedRMSNorm(x, shift: final[0], scale: final[1], epsilon: c.normEpsilon)
    // [batch, token, latentChannels]
    g.output("prediction", g.linear(x, weights.output.weight, bias: weights.output.bias))
    return g.build()
  }

  /// What the layers are modulated by: noise level and pooled text, `[batch, width]`.
  private func condition(_ g: GraphBuilder, sigma: Value, pooled: Value) -> Value {
    let features = g.sinusoidal(sigma, width: configuration.sigmaChannels, scale: 1000)
    let hidden = g.silu(g.linear(features, weights.sigma[0].weight, bias: weights.sigma[0].bias))
    let level = g.linear(hidden, weights.sigma[1].weight, bias: weights.sigma[1].bias)
    let text = g.linear(pooled, weights.pooled.weight, bias: weights.pooled.bias)
    return g.silu(g.add(level, text))
  }

  private func block(
    _ g: GraphBuilder, _ input: Value, shared: Value, text: GraphBuilder.KeyValueSegment,
    _ layer: StickerWeightMap.DenoiserLayer
  ) -> Value {
    let c = configuration
    let table = g.parameter(layer.modulation, as: [6 * c.width])
    let m = g.split(g.add(shared, table), into: 6)  // [batch, width] each
    var x = input

    var h = g.modulatedRMSNorm(x, shift: m[0], scale: m[1], epsilon: c.normEpsilon)
    h = selfAttention(
      g, h, queryKeyValue: layer.queryKeyValue, queryNorm: layer.queryNorm,
      keyNorm: layer.keyNorm, heads: c.heads, keyValueHeads: c.keyValueHeads,
      grid: HeadNorm.Grid(height: c.latentHeight, width: c.latentWidth, base: c.ropeBase),
      epsilon: c.normEpsilon, text: [text])
    x = g.add(x, g.multiply(g.linear(h, layer.attentionOutput), m[2]))

    h = g.modulatedRMSNorm(x, shift: m[3], scale: m[4], epsilon: c.normEpsilon)
    h = g.multiply(g.silu(g.linear(h, layer.gate)), g.linear(h, layer.up))  // [.., hidden]
    return g.add(x, g.multiply(g.linear(h, layer.down), m[5]))
  }
}
