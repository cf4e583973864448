package import TensorTypes

/// A gated unit behind one product for both halves: the first half of the channels times the
/// activation of the second, `[…, 2 width]` to `[…, width]`. With `gelu` it is GEGLU.
///
/// Where the halves come from two products, the gate is in the epilogue of one of them.
///
/// Shazeer 2020, "GLU Variants Improve Transformer".
package struct GatedActivation: OpPayload {
  package let activation: Activation

  package init(_ activation: Activation) { self.activation = activation }

  package var name: String { "gatedActivation.\(activation.rawValue)" }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name).shape
    guard x.last.isMultiple(of: 2) else {
      throw ShapeError(name, "\(x) does not split into halves")
    }
    return x.replacingLast(with: x.last / 2)
  }
}
