import Graph
import TensorTypes

/// Two convolutions beside the identity, or beside a product where the channels change: diffusers'
/// `ResnetBlock2D`. He et al. 2016, "Identity Mappings in Deep Residual Networks".
struct ResidualBlock {
  let groups: Int
  let epsilon: Float

  /// `[batch, y, x, channel]` to `[batch, y, x, outputs]`.
  /// - Parameter time: `[batch, timeWidth]`, behind its activation; nil in autoencoders.
  func callAsFunction(
    _ g: GraphBuilder, _ x: Value, time: Value? = nil, _ weights: WeightScope, outputs: Int
  ) -> Value {
    // First, so that what comes behind may take the place of `x` where it is not added itself.
    let shortcut =
      x.shape.last == outputs ? x : g.linear(x, weights["conv_shortcut"], outputs: outputs)
    var h = g.silu(g.groupNorm(x, weights["norm1"], groups: groups, epsilon: epsilon))
    h = g.convolution(h, weights["conv1"], outputs: outputs)  // [batch, y, x, outputs]
    if let time { h = g.add(h, g.linear(time, weights["time_emb_proj"], outputs: outputs)) }
    h = g.silu(g.groupNorm(h, weights["norm2"], groups: groups, epsilon: epsilon))
    h = g.convolution(h, weights["conv2"], outputs: outputs)
    return g.add(h, shortcut)
  }
}
