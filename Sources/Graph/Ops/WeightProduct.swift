/// A product of the first operand with a stored weight, and an epilogue: what peels may change, and
/// what is worth storing in few bits.
package protocol WeightProduct: OpPayload {
  /// `[out, …, in]`.
  var weight: WeightReference { get }
  /// `[out]`.
  var bias: WeightReference? { get }
  var epilogue: Epilogue { get }
  /// The op with another epilogue, and without its bias unless it keeps it.
  func op(_ epilogue: Epilogue, hasBias: Bool) -> Op
}

extension Linear: WeightProduct {
  package func op(_ epilogue: Epilogue, hasBias: Bool) -> Op {
    .linear(Linear(weight: weight, bias: hasBias ? bias : nil, epilogue: epilogue))
  }
}

extension Convolution: WeightProduct {
  package func op(_ epilogue: Epilogue, hasBias: Bool) -> Op {
    .convolution(
      Convolution(
        weight: weight, bias: hasBias ? bias : nil, stride: stride, padding: padding,
        upsampling: upsampling, epilogue: epilogue))
  }
}

extension Op {
  /// The payload of a product with a weight; nil for every other op.
  package var weightProduct: (any WeightProduct)? { payload as? any WeightProduct }
}
