import Graph
import TensorTypes

/// Self-attention in which groups of query heads share keys and values. Ainslie et al. 2023, "GQA:
/// Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints".
struct GroupedQueryAttention {
  let heads: Int
  let keyValueHeads: Int
  let headWidth: Int
  let grid: HeadNorm.Grid
  let epsilon: Float

  /// Tokens on a grid to each other and to `text`, from one matrix product for queries, keys and
  /// values: `[batch, token, width]` to `[batch, token, heads * headWidth]`, without the product
  /// behind it.
  /// - Parameters:
  ///   - queryKeyValue: Where the product's weights are.
  ///   - queryNorm, keyNorm: `[headWidth]`.
  func callAsFunction(
    _ g: GraphBuilder, _ x: Value, queryKeyValue: WeightScope, queryNorm: WeightReference,
    keyNorm: WeightReference, text: [GraphBuilder.KeyValueSegment] = []
  ) -> Value {
    let (keys, values) = (heads * headWidth, (heads + keyValueHeads) * headWidth)
    let end = values + keyValueHeads * headWidth
    let qkv = g.linear(x, queryKeyValue, outputs: end, hasBias: false)  // [batch, token, q + k + v]
    let q = g.headNorm(
      g.slice(qkv, 0..<keys), heads: heads, weight: queryNorm, epsilon: epsilon, grid: grid)
    let k = g.headNorm(
      g.slice(qkv, keys..<values), heads: keyValueHeads, weight: keyNorm, epsilon: epsilon,
      grid: grid)
    let v = g.slice(qkv, values..<end)
    return g.attention(
      q, text + [.init(keys: k, values: v)], heads: heads, keyValueHeads: keyValueHeads)
  }
}

/// The gated half of a feed-forward layer: `silu(gate x) * up x`, `[..., channel]` to
/// `[..., hidden]`. Shazeer 2020, "GLU Variants Improve Transformer".
func swiGLU(_ g: GraphBuilder, _ x: Value, _ scope: WeightScope, hidden: Int) -> Value {
  g.multiply(
    g.silu(g.linear(x, scope["gate"], outputs: hidden, hasBias: false)),
    g.linear(x, scope["up"], outputs: hidden, hasBias: false))
}
