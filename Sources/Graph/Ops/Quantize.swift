package import TensorTypes

/// f32 to signed bytes: `q = round(x / scale) + zeroPoint`, ties to even, with the least scale that
/// keeps all of them within -127...127 (`max |x| / 127` where the zero point is 0), or 1 where
/// everything is zero; x is multiplied by the smoothing before, where there is one.
///
/// Xiao et al. 2022, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large
/// Language Models", eq. 3.
///
/// Operand x of any shape; the result has its shape and this op as its element type.
package struct Quantize: OpPayload {
  /// What shares a scale.
  package enum Scaling: Hashable, Sendable {
    /// The innermost axis: a token.
    case row
    /// A batch item `[y, x, channel]`.
    case item
  }

  package let scaling: Scaling
  /// `[channel]`, above zero: weights are stored divided by it.
  package let smoothing: WeightReference?
  /// What zero becomes, -126...126: what is behind an activation that leaves little below zero has
  /// more bytes above it.
  package let zeroPoint: Int
  /// Set for weights of int4 in groups of so many inputs: rows are padded to whole groups, and the
  /// sum of each group is kept beside them.
  package let group: Int?
  /// Zeros around each item of a picture, so that a convolution reads it in place.
  package let borderHeight: Int
  package let borderWidth: Int

  package init(
    scaling: Scaling, smoothing: WeightReference? = nil, zeroPoint: Int = 0, group: Int? = nil,
    borderHeight: Int = 0, borderWidth: Int = 0
  ) {
    precondition(-126...126 ~= zeroPoint && (zeroPoint == 0 || group == nil))
    self.scaling = scaling
    self.smoothing = smoothing
    self.zeroPoint = zeroPoint
    self.group = group
    self.borderHeight = borderHeight
    self.borderWidth = borderWidth
  }

  package var name: String { "quantize" }

  package var weights: [WeightReference] { smoothing.map { [$0] } ?? [] }

  package func resultType(_ operands: [Value]) -> ElementType { .int8(self) }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let x = try operands.only(name)
    guard x.elementType == .float32, x.shape.rank == 4 || scaling == .row else {
      throw ShapeError(name, "takes f32 of [batch, y, x, channel] or rows, not \(x.shape)")
    }
    if let smoothing, smoothing.shape != [x.shape.last] {
      throw ShapeError(name, "\(smoothing.name) \(smoothing.shape) does not fit \(x.shape)")
    }
    return x.shape
  }

  /// How the parts of a quantized tensor lie in its place, in bytes from its start.
  package struct Layout: Hashable, Sendable {
    /// Parts of an item whose largest magnitudes are found apart.
    package static let maximumParts = 16

    /// Bytes of a row, padding included.
    package let rowBytes: Int
    /// f32: one a row or item, and for items the largest magnitudes of their parts behind them.
    package let scales: Int
    /// int32, one a group of a row.
    package let sums: Int
    package let byteCount: Int
  }

  package func layout(of shape: Shape) -> Layout {
    // Kernels may read a vector past the last element that they use.
    func padded(_ bytes: Int) -> Int { (bytes + 127) / 64 * 64 }
    let rowBytes: Int
    let rows: Int
    let scaleCount: Int
    var sumCount = 0
    switch scaling {
    case .row:
      let multiple = group ?? BlockLayout.inputs
      let multiples = (shape.last + multiple - 1) / multiple
      rowBytes = multiples * multiple
      rows = shape.rows
      scaleCount = rows
      if group != nil { sumCount = rows * multiples }
    case .item:
      rowBytes = (shape[2] + 2 * borderWidth) * shape[3]
      rows = shape[0] * (shape[1] + 2 * borderHeight)
      scaleCount = shape[0] * (1 + Layout.maximumParts)
    }
    let scales = padded(rows * rowBytes)
    let sums = scales + padded(4 * scaleCount)
    return Layout(
      rowBytes: rowBytes, scales: scales, sums: sums, byteCount: sums + padded(4 * sumCount))
  }
}
