import Graph
import TensorTypes

/// CLIP's text encoder: a causal transformer with its norms before the layers. Stable Diffusion 1
/// reads ViT-L's, with quick GELU, and Stable Diffusion 2 the last layer but one of OpenCLIP's
/// ViT-H, with GELU.
///
/// Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision".
/// The weights have the names that transformers saves them by.
struct CLIPTextEncoder {
  let configuration: CLIPTextConfiguration

  /// `ids` `[batch, token]`, padded with what the tokenizer ends a text with, to `hidden` `[batch,
  /// token, width]`, normalized.
  /// - Parameters:
  ///   - skipped: Layers that are left out at the end; "clip skip" counts one more.
  ///   - vectors: How many embeddings beside the vocabulary's there are: `vectors` `[vector,
  ///     width]`, for the tokens behind it.
  /// - Precondition: There are as many layers, and positions for so many tokens.
  func graph(batch: Int, tokens: Int, skipped: Int = 0, vectors: Int = 0) -> Graph {
    let c = configuration
    precondition(0...c.layers ~= skipped && 1...c.maximumPositions ~= tokens)
    let weights = WeightScope()["text_model"]
    let g = GraphBuilder("textEncoder")
    let ids = g.input("ids", [batch, tokens], .int32)
    let more = vectors > 0 ? g.input("vectors", [vectors, c.width]) : nil

    // [batch, token, width]
    var x = g.embedding(
      ids, weights["embeddings"]["token_embedding"].weight([c.vocabularySize, c.width]), more: more)
    let positions = g.parameter(
      weights["embeddings"]["position_embedding"].weight([c.maximumPositions, c.width]),
      rows: tokens, as: [tokens * c.width])
    x = g.reshape(
      g.add(g.reshape(x, [batch, tokens * c.width]), positions), [batch, tokens, c.width])
    for index in 0..<c.layers - skipped {
      x = layer(g, x, weights["encoder"]["layers"][index])
      g.tap("text.layers.\(index)", x)
    }
    g.output("hidden", g.layerNorm(x, weights["final_layer_norm"], epsilon: c.normEpsilon))
    return g.build()
  }

  private func layer(_ g: GraphBuilder, _ input: Value, _ weights: WeightScope) -> Value {
    let c = configuration
    let attention = weights["self_attn"]
    var h = g.layerNorm(input, weights["layer_norm1"], epsilon: c.normEpsilon)
    let before = GraphBuilder.KeyValueSegment(
      keys: g.linear(h, attention["k_proj"], outputs: c.width),
      values: g.linear(h, attention["v_proj"], outputs: c.width), isCausal: true)
    h = g.attention(
      g.linear(h, attention["q_proj"], outputs: c.width), [before], heads: c.heads,
      keyValueHeads: c.heads)
    let x = g.add(input, g.linear(h, attention["out_proj"], outputs: c.width))
    h = g.layerNorm(x, weights["layer_norm2"], epsilon: c.normEpsilon)
    h = g.linear(h, weights["mlp"]["fc1"], outputs: c.hiddenWidth)  // [batch, token, hidden]
    h =
      switch c.activation {
      case .gelu: g.gelu(h)
      case .quickGELU: g.quickGELU(h)
      }
    return g.add(x, g.linear(h, weights["mlp"]["fc2"], outputs: c.width))
  }
}
