package import TensorTypes

/// Normalization over all pixels and the channels of a group: `(x - mean) / deviation`, then
/// `* weight + bias` channel by channel, then the activation.
///
/// Operand x `[batch, …, channel]`; each item and each of `groups` stretches of channels has a mean
/// and a deviation of its own. The result has its shape.
///
/// Wu and He 2018, "Group Normalization".
package struct GroupNorm: OpPayload {
  package var name: String { "groupNorm" }
  package let groups: Int
  package let epsilon: Float
  /// `[channel]`.
  package let weight: WeightReference?
  /// `[channel]`.
  package let bias: WeightReference?
  package var activation: Activation

  package init(
    groups: Int, epsilon: Float, weight: WeightReference? = nil, bias: WeightReference? = nil,
    activation: Activation = .none
  ) {
    self.groups = groups
    self.epsilon = epsilon
    self.weight = weight
    self.bias = bias
    self.activation = activation
  }

  package var weights: [WeightReference] { [weight, bias].compactMap { $0 } }

  /// Everything is read for the means and deviations before anything is written.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.rank >= 2, groups > 0, x.last.isMultiple(of: groups) else {
      throw ShapeError(name, "\(x) does not split into \(groups) groups of channels")
    }
    for stored in weights where stored.shape != [x.last] {
      throw ShapeError(name, "\(stored.name) \(stored.shape) does not fit \(x)")
    }
    return x
  }
}
