import Graph
import TensorTypes

extension ReferenceContext {
  func parameter(_ op: Parameter) {
    let elements = weight(op.weight)
    each { elements[$0] }
  }

  func embedding(_ op: Embedding) {
    let table = weight(op.table)
    let width = result.shape.last
    each { index in
      let id = Int(operands[0].indices[index / width])
      return id < op.table.shape[0]
        ? table[id * width + index % width]
        : operands[1].floats[(id - op.table.shape[0]) * width + index % width]
    }
  }

  func linear(_ op: Linear) {
    let weight = self.weight(op.weight)
    let bias = op.bias.map(self.weight)
    let (inputs, outputs) = (op.weight.shape[1], op.weight.shape[0])
    let sums = rounded.product(
      elements(operands[0]).map(Double.init), weight.map(Double.init), inner: inputs)
    each { index in
      let sum = sums[index] + Double(bias?[index % outputs] ?? 0)
      return finished(Float(sum), at: index, op.epilogue)
    }
  }

  /// The element of `x M^T` that goes with element `index` of the result; the matrix in blocks.
  func product(_ x: ReferenceTensor, _ matrix: ReferenceTensor, at index: Int) -> Float {
    let inputs = x.shape.last
    let lanes = BlockLayout.outputs
    let (row, output) = index.quotientAndRemainder(dividingBy: result.shape.last)
    var sum = 0.0
    for i in 0..<inputs {
      let at = (output / lanes * inputs + i) * lanes + output % lanes
      sum = rounded(
        sum + rounded(Double(x.floats[row * inputs + i]) * Double(matrix.floats[at])))
    }
    return Float(sum)
  }

  func convolution(_ op: Convolution) {
    let weight = self.weight(op.weight).map(Double.init)
    let bias = op.bias.map(self.weight)
    let outputs = result.shape.last
    let patchSize = weight.count / outputs
    let picture = elements(operands[0]).map(Double.init)
    let lines = result.shape[0] * result.shape[1]
    // As many lines at a time as take some tens of megabytes.
    let band = max(1, (4 << 20) / (result.shape[2] * patchSize))
    for first in stride(from: 0, to: lines, by: band) {
      let pixels = (first..<min(first + band, lines)).flatMap {
        patches(of: picture, line: $0, op)
      }
      let sums = rounded.product(pixels, weight, inner: patchSize)
      let start = first * result.shape[2] * outputs
      for (offset, sum) in sums.enumerated() {
        let index = start + offset
        result.floats[index] = finished(
          Float(sum + Double(bias?[index % outputs] ?? 0)), at: index, op.epilogue)
      }
    }
  }

  func patchSum(_ op: PatchSum) {
    let (walk, source) = (op.convolution, operands[0].shape)
    let channels = result.shape.last
    each { index in
      let (pixel, channel) = index.quotientAndRemainder(dividingBy: channels)
      let (line, x) = pixel.quotientAndRemainder(dividingBy: result.shape[2])
      let (item, y) = line.quotientAndRemainder(dividingBy: result.shape[1])
      var sum = 0.0
      for place in 0..<op.places {
        let fineY = y * walk.stride + place / walk.kernelWidth - walk.paddingTop
        let fineX = x * walk.stride + place % walk.kernelWidth - walk.paddingLeft
        guard (0..<source[1] * walk.upsampling).contains(fineY),
          (0..<source[2] * walk.upsampling).contains(fineX)
        else { continue }
        let from = (item * source[1] + fineY / walk.upsampling) * source[2]
        let at = (from + fineX / walk.upsampling) * source[3] + place * channels + channel
        sum = rounded(sum + Double(operands[0].floats[at]))
      }
      return Float(sum)
    }
  }

  /// What the pixels of a line, counted over all items, are sums of: `[x, ky, kx, channel]`.
  private func patches(of picture: [Double], line: Int, _ op: Convolution) -> [Double] {
    let source = operands[0].shape
    let (height, width, inputs) = (source[1], source[2], source[3])
    let (item, y) = line.quotientAndRemainder(dividingBy: result.shape[1])
    let patchSize = op.kernelHeight * op.kernelWidth * inputs
    var patches = Array(repeating: 0.0, count: result.shape[2] * patchSize)
    for ky in 0..<op.kernelHeight {
      let fineY = y * op.stride + ky - op.paddingTop
      guard (0..<height * op.upsampling).contains(fineY) else { continue }
      let sourceLine = (item * height + fineY / op.upsampling) * width
      for x in 0..<result.shape[2] {
        for kx in 0..<op.kernelWidth {
          let fineX = x * op.stride + kx - op.paddingLeft
          guard (0..<width * op.upsampling).contains(fineX) else { continue }
          let from = (sourceLine + fineX / op.upsampling) * inputs
          let to = x * patchSize + (ky * op.kernelWidth + kx) * inputs
          patches.replaceSubrange(to..<to + inputs, with: picture[from..<from + inputs])
        }
      }
    }
    return patches
  }

  func slice(_ op: Slice) {
    let width = operands[0].shape.last
    each { operands[0].floats[$0 / op.count * width + op.offset + $0 % op.count] }
  }

  func concatenate() {
    var offset = 0
    for operand in operands {
      let width = operand.shape.last
      for index in 0..<operand.shape.count {
        let (row, channel) = index.quotientAndRemainder(dividingBy: width)
        result.floats[row * result.shape.last + offset + channel] = operand.floats[index]
      }
      offset += width
    }
  }

  func scale(_ op: Scale) {
    each {
      let scaled = rounded(Double(operands[0].floats[$0]) * Double(op.factor))
      return Float(scaled + Double(op.offset))
    }
  }

  func gated(_ op: GatedActivation) {
    let width = result.shape.last
    each { index in
      let value = index / width * 2 * width + index % width
      let gate = op.activation.value(operands[0].floats[value + width], rounded)
      return operands[0].floats[value] * gate
    }
  }

  func meanPool() {
    let (x, mask) = (operands[0], operands[1])
    let (tokens, width) = (x.shape[1], x.shape[2])
    each { index in
      let (item, channel) = index.quotientAndRemainder(dividingBy: width)
      var (sum, count) = (0.0, 0.0)
      for token in 0..<tokens {
        let weight = Double(mask.floats[item * tokens + token])
        let x = Double(x.floats[(item * tokens + token) * width + channel])
        sum = rounded(sum + rounded(weight * x))
        count += weight
      }
      return Float(sum / max(count, 1e-9))
    }
  }

  /// Calls `copy` with the element indices of each pair in a pixel shuffle.
  func shuffle(
    coarse: ReferenceTensor, fine: ReferenceTensor, _ factor: Int,
    _ copy: (_ fine: Int, _ coarse: Int) -> Void
  ) {
    let (height, width, channels) = (fine.shape[1], fine.shape[2], fine.shape[3])
    for index in 0..<fine.shape.count {
      let (pixel, channel) = index.quotientAndRemainder(dividingBy: channels)
      let (x, y, item) = (pixel % width, pixel / width % height, pixel / width / height)
      let row = (item * coarse.shape[1] + y / factor) * coarse.shape[2] + x / factor
      let block = (y % factor * factor + x % factor) * channels + channel
      copy(index, row * coarse.shape[3] + block)
    }
  }
}
