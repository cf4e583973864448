import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The C function, which has the name of the case.
private func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }

extension Activation {
  /// The function of one element.
  func value(_ x: Float, _ rounded: ReferenceArithmetic) -> Float {
    let x64 = Double(x)
    return switch self {
    case .none: x
    case .silu: Float(x64 / rounded(1 + rounded(exp(-x64))))
    case .gelu:
      Float(0.5 * x64 * rounded(1 + rounded(erf(rounded(x64 / 2.0.squareRoot())))))
    case .quickGELU: Float(x64 / rounded(1 + rounded(exp(rounded(-1.702 * x64)))))
    case .relu: x < 0 ? 0 : x
    case .tanh: Float(hyperbolicTangent(x64))
    }
  }
}

extension ReferenceContext {
  func sinusoidal(_ op: Sinusoidal) {
    let half = op.width / 2
    each { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: op.width)
      let i = column % half
      let exponent = -log(Double(op.maximumPeriod)) * Double(i) / Double(half)
      let frequency = rounded(exp(rounded(exponent)))
      let angle = rounded(Double(op.scale * operands[0].floats[row]) * frequency)
      return Float(column < half ? cos(angle) : sin(angle))
    }
  }

  func norm(_ op: Norm) {
    let width = result.shape.last
    let weight = op.weight.map(self.weight)
    let bias = op.bias.map(self.weight)
    let rowsPerItem = result.shape.rows / result.shape[0]
    for row in 0..<result.shape.rows {
      let x = (0..<width).map { Double(operands[0].floats[row * width + $0]) }
      let mean =
        op.kind == .layer ? rounded(x.reduce(0) { rounded($0 + $1) } / Double(width)) : 0
      let sum = x.reduce(0) { sum, x in
        let difference = rounded(x - mean)
        return rounded(sum + rounded(difference * difference))
      }
      let variance = rounded(sum / Double(width))
      let reciprocal = rounded(1 / rounded((variance + Double(op.epsilon)).squareRoot()))
      for channel in 0..<width {
        var y = Float((x[channel] - mean) * reciprocal)
        if let weight { y *= weight[channel] }
        if let bias { y += bias[channel] }
        if op.isModulated {
          let at = row / rowsPerItem * width + channel
          y = y * (1 + operands[1].floats[at]) + operands[2].floats[at]
        }
        result.floats[row * width + channel] = op.activation.value(y, rounded)
      }
    }
  }

  func groupNorm(_ op: GroupNorm) {
    let (channels, width) = (result.shape.last, result.shape.last / op.groups)
    let rows = result.shape.rows / result.shape[0]
    let weight = op.weight.map(self.weight)
    let bias = op.bias.map(self.weight)
    for item in 0..<result.shape[0] {
      for group in 0..<op.groups {
        let places = (0..<rows).flatMap { row in
          let start = (item * rows + row) * channels + group * width
          return start..<start + width
        }
        let x = places.map { Double(operands[0].floats[$0]) }
        let mean = rounded(x.reduce(0) { rounded($0 + $1) } / Double(x.count))
        let sum = x.reduce(0) { sum, x in
          let difference = rounded(x - mean)
          return rounded(sum + rounded(difference * difference))
        }
        let variance = rounded(sum / Double(x.count))
        let reciprocal = rounded(1 / rounded((variance + Double(op.epsilon)).squareRoot()))
        for (place, x) in zip(places, x) {
          var y = Float(rounded(x - mean) * reciprocal)
          if let weight { y *= weight[place % channels] }
          if let bias { y += bias[place % channels] }
          result.floats[place] = op.activation.value(y, rounded)
        }
      }
    }
  }

  func headNorm(_ op: HeadNorm) {
    let (tokens, width) = (result.shape[1], result.shape[2] / op.heads)
    let weight = op.weight.map(self.weight)
    for row in 0..<result.shape[0] * tokens {
      for head in 0..<op.heads {
        let start = row * result.shape[2] + head * width
        var x = (0..<width).map { operands[0].floats[start + $0] }
        if let weight {
          let sum = x.reduce(0.0) { rounded($0 + rounded(Double($1) * Double($1))) }
          let meanSquare = rounded(sum / Double(width))
          let reciprocal = Float(1 / (meanSquare + Double(op.epsilon)).squareRoot())
          for i in 0..<width { x[i] *= reciprocal * weight[i] }
        }
        if let grid = op.grid { turn(&x, token: row % tokens, grid) }
        for i in 0..<width { result.floats[start + i] = x[i] }
      }
    }
  }

  private func turn(_ x: inout [Float], token: Int, _ grid: HeadNorm.Grid) {
    let axisWidth = x.count / 2
    let pairs = axisWidth / 2
    for (axis, position) in [token / grid.width, token % grid.width].enumerated() {
      for i in 0..<pairs {
        let frequency = rounded(pow(Double(grid.base), -Double(i) / Double(pairs)))
        let angle = rounded(Double(position) * frequency)
        let (a, b) = (axis * axisWidth + i, axis * axisWidth + i + pairs)
        let (xa, xb) = (x[a], x[b])
        x[a] = xa * Float(cos(angle)) - xb * Float(sin(angle))
        x[b] = xb * Float(cos(angle)) + xa * Float(sin(angle))
      }
    }
  }

  func fold(_ op: Fold) {
    let shape = result.shape
    var pixels = elements(operands[0]).map(Double.init)
    // The elements of an axis are `stride` apart, and there are `count` of them.
    for (stride, count) in [(shape[3], shape[2]), (shape[3] * shape[2], shape[1])] {
      for start in pixels.indices where start / stride % count == 0 {
        for border in Swift.stride(from: op.patch, to: count, by: op.patch) {
          for i in 0..<op.overlap {
            let (left, right) = (start + (border - 1 - i) * stride, start + (border + i) * stride)
            let (l, r) = (pixels[left], pixels[right])
            pixels[left] = cos(op.angle(i)) * l + sin(op.angle(i)) * r
            pixels[right] = cos(op.angle(i)) * r - sin(op.angle(i)) * l
          }
        }
      }
    }
    each { Float(pixels[$0]) }
  }

  func attention(_ op: Attention) {
    let (tokens, width) = (result.shape[1], result.shape[2] / op.heads)
    for item in 0..<result.shape[0] {
      for head in 0..<op.heads {
        let queries = rows(of: operands[0], item: item, head: head, width: width)
        let shared = head / (op.heads / op.keyValueHeads)
        let segments = op.segmentOperands
        let keys = segments.flatMap {
          rows(of: operands[$0.keys], item: item, head: shared, width: width)
        }
        let values = segments.flatMap {
          rows(of: operands[$0.values], item: item, head: shared, width: width)
        }
        var scores = rounded.product(queries, keys, inner: width)
        for token in 0..<tokens {
          let bias = bias(op, token: token, item: item)
          softmax(&scores[token * bias.count..<(token + 1) * bias.count], bias, width: width)
        }
        for (index, sum) in rounded.product(scores, values, columns: width).enumerated() {
          let (token, channel) = index.quotientAndRemainder(dividingBy: width)
          result.floats[(item * tokens + token) * result.shape[2] + head * width + channel] =
            Float(sum)
        }
      }
    }
  }

  /// What is added to the scores of a query.
  private func bias(_ op: Attention, token: Int, item: Int) -> [Double] {
    zip(op.segmentOperands, op.segments).flatMap { segment, form in
      let count = operands[segment.keys].shape[1]
      return (0..<count).map { key in
        if form.isCausal, key > token { return -Double.infinity }
        return segment.bias.map { Double(operands[$0].floats[item * count + key]) } ?? 0
      }
    }
  }

  private func softmax(_ scores: inout ArraySlice<Double>, _ bias: [Double], width: Int) {
    let scale = 1 / Double(width).squareRoot()
    for (index, bias) in zip(scores.indices, bias) {
      scores[index] = rounded(rounded(scores[index] * scale) + bias)
    }
    let top = scores.max() ?? 0
    for index in scores.indices {
      scores[index] = rounded(exp(rounded(scores[index] - top)))
    }
    let total = scores.reduce(0) { rounded($0 + $1) }
    for index in scores.indices { scores[index] = rounded(scores[index] / total) }
  }

  /// The channels of one head of one batch item, `[token, width]`.
  private func rows(of x: ReferenceTensor, item: Int, head: Int, width: Int) -> [Double] {
    (0..<x.shape[1]).flatMap { token in
      let start = (item * x.shape[1] + token) * x.shape[2] + head * width
      return (start..<start + width).map { Double(x.floats[$0]) }
    }
  }
}
