import Graph
import TensorTypes

/// BERT with mean pooling, as sentence-transformers trains it (Reimers and Gurevych 2019).
struct StickerTextEncoder {
  let configuration: StickerConfiguration.TextEncoder

  /// `ids` `[batch, token]` to `hidden` `[batch, token, width]` and `pooled` `[batch, width]`; what
  /// masks padding is passed on as `bias`.
  func graph(batch: Int, tokens: Int) -> Graph {
    let c = configuration
    let weights = WeightScope()
    let g = GraphBuilder("textEncoder")
    let ids = g.input("ids", [batch, tokens], .int32)
    let mask = g.input("mask", [batch, tokens])
    let bias = g.input("bias", [batch, tokens])

    // [batch, token, width]
    var x = g.embedding(ids, weights["word_embedding"].weight([c.vocabularySize, c.width]))
    let positions = g.parameter(
      weights["position_embedding"].weight([c.maximumPositions, c.width]), rows: tokens,
      as: [tokens * c.width])
    x = g.reshape(
      g.add(g.reshape(x, [batch, tokens * c.width]), positions), [batch, tokens, c.width])
    let types = weights["token_type_embedding"].weight([2, c.width])
    x = g.add(x, g.parameter(types, rows: 1, as: [c.width]))
    x = g.layerNorm(x, weights["embedding_norm"], epsilon: c.normEpsilon)
    g.tap("text.embedding", x)
    for index in 0..<c.layers {
      x = layer(g, x, bias: bias, weights["layers"][index])
      g.tap("text.layers.\(index)", x)
    }
    g.output("hidden", x)
    g.output("pooled", g.meanPool(x, mask: mask))  // [batch, width]
    g.output("bias", bias)
    return g.build()
  }

  private func layer(
    _ g: GraphBuilder, _ input: Value, bias: Value, _ weights: WeightScope
  ) -> Value {
    let c = configuration
    // [batch, token, width] three times
    let qkv = g.split(g.linear(input, weights["qkv"], outputs: 3 * c.width), into: 3)
    let attended = g.attention(
      qkv[0], [.init(keys: qkv[1], values: qkv[2], bias: bias)], heads: c.heads,
      keyValueHeads: c.heads)
    let output = g.linear(attended, weights["attention_out"], outputs: c.width)
    let x = g.layerNorm(
      g.add(input, output), weights["attention_norm"], epsilon: c.normEpsilon)
    let hidden = g.gelu(g.linear(x, weights["up"], outputs: c.hiddenWidth))  // [.., hidden]
    return g.layerNorm(
      g.add(x, g.linear(hidden, weights["down"], outputs: c.width)), weights["output_norm"],
      epsilon: c.normEpsilon)
  }
}
