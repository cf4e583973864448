import Graph
import TensorTypes

/// Transformer blocks over all places of a picture, which attend to each other and to the text:
/// diffusers' `Transformer2DModel`. Rombach et al. 2022, "High-Resolution Image Synthesis with
/// Latent Diffusion Models", section 3.3 and appendix E.2.1.
struct SpatialTransformer {
  let heads: Int
  let layers: Int
  let groups: Int
  /// The text's keys and values for the attention whose weights are there, of so many channels.
  let text: (WeightScope, Int) -> GraphBuilder.KeyValueSegment

  /// `[batch, y, x, channel]` to the same shape.
  ///
  /// `proj_in` and `proj_out` are products: as convolutions of 1 by 1, which older files have, they
  /// are the same with channels innermost.
  func callAsFunction(_ g: GraphBuilder, _ x: Value, _ weights: WeightScope) -> Value {
    let width = x.shape.last
    let places = g.reshape(x, [x.shape[0], x.shape[1] * x.shape[2], width])
    var h = g.groupNorm(places, weights["norm"], groups: groups, epsilon: 1e-6)
    h = g.linear(h, weights["proj_in"], outputs: width)  // [batch, token, channel]
    for layer in 0..<layers { h = block(g, h, weights["transformer_blocks"][layer]) }
    h = g.linear(h, weights["proj_out"], outputs: width)
    return g.reshape(g.add(places, h), x.shape)  // [batch, y, x, channel]
  }

  /// Diffusers' `BasicTransformerBlock`, `[batch, token, channel]`.
  private func block(_ g: GraphBuilder, _ input: Value, _ weights: WeightScope) -> Value {
    let width = input.shape.last
    var h = g.layerNorm(input, weights["norm1"], epsilon: 1e-5)
    let itself = GraphBuilder.KeyValueSegment(
      keys: g.linear(h, weights["attn1"]["to_k"], outputs: width, hasBias: false),
      values: g.linear(h, weights["attn1"]["to_v"], outputs: width, hasBias: false))
    var x = g.add(input, attention(g, h, itself, weights["attn1"]))

    h = g.layerNorm(x, weights["norm2"], epsilon: 1e-5)
    x = g.add(x, attention(g, h, text(weights["attn2"], width), weights["attn2"]))

    h = g.layerNorm(x, weights["norm3"], epsilon: 1e-5)
    h = g.linear(h, weights["ff"]["net"][0]["proj"], outputs: 8 * width)
    h = g.gated(h, by: .gelu)  // [batch, token, 4 * channel]
    return g.add(x, g.linear(h, weights["ff"]["net"][2], outputs: width))
  }

  private func attention(
    _ g: GraphBuilder, _ x: Value, _ context: GraphBuilder.KeyValueSegment, _ weights: WeightScope
  ) -> Value {
    let width = x.shape.last
    let q = g.linear(x, weights["to_q"], outputs: width, hasBias: false)
    let attended = g.attention(q, [context], heads: heads, keyValueHeads: heads)
    return g.linear(attended, weights["to_out"][0], outputs: width)
  }
}
