import Graph
import TensorTypes

extension Quantize {
  /// Where an element of a tensor of `shape` lies, and the scale that it has, counted from the
  /// start of each.
  fileprivate func place(of index: Int, in shape: Shape) -> (byte: Int, scale: Int) {
    let rowBytes = layout(of: shape).rowBytes
    switch scaling {
    case .row:
      let (row, column) = index.quotientAndRemainder(dividingBy: shape.last)
      return (row * rowBytes + column, row)
    case .item:
      let (line, column) = index.quotientAndRemainder(dividingBy: shape[2] * shape[3])
      let (item, y) = line.quotientAndRemainder(dividingBy: shape[1])
      let paddedLine = item * (shape[1] + 2 * borderHeight) + y + borderHeight
      return (paddedLine * rowBytes + borderWidth * shape[3] + column, item)
    }
  }
}

extension ReferenceContext {
  /// A tensor's elements in f32, whatever they are stored as; without their smoothing, as weights
  /// are read without theirs.
  func elements(_ tensor: ReferenceTensor) -> [Float] {
    let shape = tensor.shape
    guard case .int8(let op) = tensor.elementType else {
      return Array(tensor.floats[..<shape.count])
    }
    let scales = UnsafeMutableRawBufferPointer(
      rebasing: tensor.bytes[op.layout(of: shape).scales...]
    ).bindMemory(to: Float.self)
    let smoothing = op.smoothing.map(weight)
    return (0..<shape.count).map { index in
      let place = op.place(of: index, in: shape)
      let q = Int(Int8(bitPattern: tensor.bytes[place.byte])) - op.zeroPoint
      let number = Float(q) * scales[place.scale]
      return number / (smoothing?[index % shape.last] ?? 1)
    }
  }

  /// Signed bytes, whatever the kernels prefer; sums of groups are left to them.
  func quantize(_ op: Quantize) {
    let shape = result.shape
    let smoothing = op.smoothing.map(weight)
    let x = (0..<shape.count).map {
      operands[0].floats[$0] * (smoothing?[$0 % shape.last] ?? 1)
    }
    let layout = op.layout(of: shape)
    let scales = UnsafeMutableRawBufferPointer(rebasing: result.bytes[layout.scales...])
      .bindMemory(to: Float.self)
    var largest: [Int: Float] = [:]
    for index in 0..<shape.count {
      let scale = op.place(of: index, in: shape).scale
      let room = Float(x[index] > 0 ? 127 - op.zeroPoint : 127 + op.zeroPoint)
      largest[scale] = max(largest[scale] ?? 0, abs(x[index]) * (127 / room))
    }
    for (scale, magnitude) in largest { scales[scale] = magnitude > 1e-36 ? magnitude / 127 : 1 }
    for index in result.bytes[..<layout.scales].indices { result.bytes[index] = 0 }
    for index in 0..<shape.count {
      let place = op.place(of: index, in: shape)
      let magnitude = largest[place.scale] ?? 0
      let q = magnitude > 1e-36 ? x[index] * (127 / magnitude) : 0
      result.bytes[place.byte] = UInt8(
        bitPattern: Int8(
          max(-127, min(127, q.rounded(.toNearestOrEven) + Float(op.zeroPoint)))))
    }
  }
}
