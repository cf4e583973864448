import Graph
import TensorTypes

/// The second half of the autoencoder: a linear code of whole patches, and a transformer that adds
/// to each patch what only the others can say about it.
struct StickerDecoder {
  let configuration: StickerConfiguration.Decoder

  /// `latents` `[batch, y, x, latentChannels]` to `pixels` `[batch, y * patch, x * patch, 4]`.
  func graph(batch: Int) -> Graph {
    let c = configuration
    let weights = WeightScope()
    let g = GraphBuilder("decoder")
    let latents = g.input("latents", [batch, c.latentHeight, c.latentWidth, c.latentChannels])
    let tokens = g.reshape(latents, [batch, c.tokens, c.latentChannels])

    var x = g.linear(tokens, weights["input"], outputs: c.width)  // [batch, token, width]
    for layer in 0..<c.layers {
      x = block(g, x, weights["layers"][layer])
      g.tap("decoder.layers.\(layer)", x)
    }
    x = g.rmsNorm(x, weights["norm"], epsilon: c.normEpsilon)

    let code = g.linear(tokens, weights["linear_out"], outputs: c.patchNumbers)
    let rest = g.linear(x, weights["head"], outputs: c.patchNumbers, hasBias: false)
    let patches = g.add(code, rest)  // [batch, token, patch * patch * 4]
    let places = g.reshape(patches, [batch, c.latentHeight, c.latentWidth, c.patchNumbers])
    g.output("pixels", g.depthToSpace(places, factor: c.patch))
    return g.build()
  }

  private func block(_ g: GraphBuilder, _ input: Value, _ weights: WeightScope) -> Value {
    let c = configuration
    var h = g.rmsNorm(input, weights["norm1"], epsilon: c.normEpsilon)
    h = c.attention(
      g, h, queryKeyValue: weights["qkv"], queryNorm: weights["q_norm"].weight([c.headWidth]),
      keyNorm: weights["k_norm"].weight([c.headWidth]))
    let x = g.add(input, g.linear(h, weights["out"], outputs: c.width, hasBias: false))
    h = g.rmsNorm(x, weights["norm2"], epsilon: c.normEpsilon)
    h = swiGLU(g, h, weights, hidden: c.hiddenWidth)  // [batch, token, hidden]
    return g.add(x, g.linear(h, weights["down"], outputs: c.width, hasBias: false))
  }
}

extension StickerConfiguration.Decoder {
  fileprivate var attention: GroupedQueryAttention {
    GroupedQueryAttention(
      heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      grid: HeadNorm.Grid(height: latentHeight, width: latentWidth, base: ropeBase),
      epsilon: normEpsilon)
  }

  /// Numbers of a patch of pixels.
  fileprivate var patchNumbers: Int { patch * patch * 4 }
}
