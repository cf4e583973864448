package import Graph
package import TensorTypes

/// A place among a network's weights: `scope["layers"][0]["out"]` stands for `layers.0.out`.
package struct WeightScope: CustomStringConvertible {
  package let description: String

  package init() { description = "" }

  private init(_ path: String) { description = path }

  package subscript(name: String) -> WeightScope {
    WeightScope(description.isEmpty ? name : "\(description).\(name)")
  }

  package subscript(index: Int) -> WeightScope { self["\(index)"] }

  /// The tensor of that very name.
  package func tensor(_ shape: Shape) -> WeightReference { WeightReference(description, shape) }

  package func weight(_ shape: Shape) -> WeightReference { self["weight"].tensor(shape) }

  package func bias(_ count: Int) -> WeightReference { self["bias"].tensor([count]) }
}

/// Layers by the place of their weights, whose shapes follow from what they are given.
extension GraphBuilder {
  /// `[..., channel]` to `[..., outputs]`.
  package func linear(
    _ x: Value, _ scope: WeightScope, outputs: Int, hasBias: Bool = true
  ) -> Value {
    linear(
      x, scope.weight([outputs, x.shape.last]), bias: hasBias ? scope.bias(outputs) : nil)
  }

  /// `[batch, y, x, channel]` to `[batch, y, x, outputs]`, 3 by 3; height and width times
  /// `upsampling`, over `stride`.
  package func convolution(
    _ x: Value, _ scope: WeightScope, outputs: Int, hasBias: Bool = true, stride: Int = 1,
    padding: Convolution.Padding = .allSides, upsampling: Int = 1
  ) -> Value {
    convolution(
      x, scope.weight([outputs, 3, 3, x.shape.last]),
      bias: hasBias ? scope.bias(outputs) : nil, stride: stride, padding: padding,
      upsampling: upsampling)
  }

  package func layerNorm(_ x: Value, _ scope: WeightScope, epsilon: Float) -> Value {
    layerNorm(
      x, weight: scope.weight([x.shape.last]), bias: scope.bias(x.shape.last), epsilon: epsilon)
  }

  package func groupNorm(
    _ x: Value, _ scope: WeightScope, groups: Int, epsilon: Float
  ) -> Value {
    groupNorm(
      x, weight: scope.weight([x.shape.last]), bias: scope.bias(x.shape.last), groups: groups,
      epsilon: epsilon)
  }

  package func rmsNorm(_ x: Value, _ scope: WeightScope, epsilon: Float) -> Value {
    rmsNorm(x, weight: scope.weight([x.shape.last]), epsilon: epsilon)
  }
}
