import Graph
import TensorTypes

/// BERT with mean pooling, as sentence-transformers trains it (Reimers and Gurevych 2019).
struct StickerTextEncoder {
  let configuration: StickerConfiguration.TextEncoder
  let weights: StickerWeightMap.TextEncoder

  init(_ configuration: StickerConfiguration.TextEncoder) {
    self.configuration = configuration
    weights = StickerWeightMap.TextEncoder(configuration)
  }

  func textEncoder(batch: Int, tokens: Int) -> Graph {
    let c = configuration
    let g = GraphBuilder("textEncoder")
    let ids = g.input("ids", [batch, tokens], .int32)
    let mask = g.input("mask", [batch, tokens])
    let bias = g.input("bias", [batch, tokens])

    var x = g.embedding(ids, weights.words)  // [batch, token, width]
    let positions = g.parameter(weights.positions, rows: tokens, as: [tokens * c.width])
    x = g.reshape(
      g.add(g.reshape(x, [batch, tokens * c.width]), positions), [batch, tokens, c.width])
    x = g.add(x, g.parameter(weights.types, rows: 1, as: [c.width]))
    x = norm(g, x, weights.embeddingNorm)
    g.tap("text.embedding", x)
    for (index, layer) in weights.layers.enumerated() {
      // [batch, token, width] three times
      let qkv = g.split(
        g.linear(x, layer.queryKeyValue.weight, bias: layer.queryKeyValue.bias), into: 3)
      let attended = g.attention(
        qkv[0], [.init(keys: qkv[1], values: qkv[2], bias: bias)], heads: c.heads,
        keyValueHeads: c.heads)
      let output = g.linear(attended, layer.output.weight, bias: layer.output.bias)
      x = norm(g, g.add(x, output), layer.attentionNorm)
      let hidden = g.gelu(g.linear(x, layer.up.weight, bias: layer.up.bias))  // [.., hidden]
      x = norm(
        g, g.add(x, g.linear(hidden, layer.down.weight, bias: layer.down.bias)), layer.outputNorm)
      g.tap("text.layers.\(index)", x)
    }
    g.output("hidden", x)
    g.output("pooled", g.meanPool(x, mask: mask))  // [batch, width]
    return g.build()
  }

  private func norm(_ g: GraphBuilder, _ x: Value, _ weights: StickerWeightMap.Affine) -> Value {
    g.layerNorm(
      x, weight: weights.weight, bias: weights.bias, epsilon: configuration.normEpsilon)
  }
}
