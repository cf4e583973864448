import Graph
import TensorTypes

/// The second half of the autoencoder: a linear code of whole patches, and a transformer that adds
/// to each patch what only the others can say about it.
struct StickerDecoder {
  let configuration: StickerConfiguration.Decoder
  let weights: StickerWeightMap.Decoder

  init(_ configuration: StickerConfiguration.Decoder) {
    self.configuration = configuration
    weights = StickerWeightMap.Decoder(configuration)
  }

  /// `[batch, y, x, latentChannels]` to `[batch, y * patch, x * patch, 4]`.
  func decoder(batch: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("decoder")
    let latents = g.input("latents", [batch, c.latentHeight, c.latentWidth, c.latentChannels])
    let tokens = g.reshape(latents, [batch, c.tokens, c.latentChannels])

    // [batch, token, width]
    var x = g.linear(tokens, weights.input.weight, bias: weights.input.bias)
    for (index, layer) in weights.layers.enumerated() {
      x = block(g, x, layer)
      g.tap("decoder.layers.\(index)", x)
    }
    x = g.rmsNorm(x, weight: weights.norm, epsilon: c.normEpsilon)

    // [batch, token, patch * patch * 4]
    let code = g.linear(tokens, weights.linear.weight, bias: weights.linear.bias)
    let patches = g.add(code, g.linear(x, weights.head))
    let places = g.reshape(
      patches, [batch, c.latentHeight, c.latentWidth, patches.shape.last])
    g.output("pixels", g.depthToSpace(places, factor: c.patch))
    return g.build()
  }

  private func block(
    _ g: GraphBuilder, _ input: Value, _ layer: StickerWeightMap.DecoderLayer
  ) -> Value {
    let c = configuration
    var h = g.rmsNorm(input, weight: layer.norm1, epsilon: c.normEpsilon)
    h = selfAttention(
      g, h, queryKeyValue: layer.queryKeyValue, queryNorm: layer.queryNorm,
      keyNorm: layer.keyNorm, heads: c.heads, keyValueHeads: c.keyValueHeads,
      grid: HeadNorm.Grid(height: c.latentHeight, width: c.latentWidth, base: c.ropeBase),
      epsilon: c.normEpsilon)
    let x = g.add(input, g.linear(h, layer.attentionOutput))
    h = g.rmsNorm(x, weight: layer.norm2, epsilon: c.normEpsilon)
    h = g.multiply(g.silu(g.linear(h, layer.gate)), g.linear(h, layer.up))  // [.., hidden]
    return g.add(x, g.linear(h, layer.down))
  }
}

/// Grouped-query attention of tokens on a grid to each other and to `text`, from one matrix product
/// for queries, keys and values: `[batch, token, width]` to the same.
func selfAttention(
  _ g: GraphBuilder, _ x: Value, queryKeyValue: WeightReference, queryNorm: WeightReference,
  keyNorm: WeightReference, heads: Int, keyValueHeads: Int, grid: HeadNorm.Grid, epsilon: Float,
  text: [GraphBuilder.KeyValueSegment] = []
) -> Value {
  let qkv = g.linear(x, queryKeyValue)  // [batch, token, width + 2 kv]
  let headWidth = qkv.shape.last / (heads + 2 * keyValueHeads)
  let (keys, values) = (heads * headWidth, (heads + keyValueHeads) * headWidth)
  let q = g.headNorm(
    g.slice(qkv, 0..<keys), heads: heads, weight: queryNorm, epsilon: epsilon, grid: grid)
  let k = g.headNorm(
    g.slice(qkv, keys..<values), heads: keyValueHeads, weight: keyNorm, epsilon: epsilon,
    grid: grid)
  let v = g.slice(qkv, values..<qkv.shape.last)
  return g.attention(
    q, text + [.init(keys: k, values: v)], heads: heads, keyValueHeads: keyValueHeads)
}
