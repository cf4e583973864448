package import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Activation {
  /// The function of one element, computed in f64.
  package func value(_ x: Float) -> Float {
    let x64 = Double(x)
    return switch self {
    case .none: x
    case .silu: Float(x64 / (1 + exp(-x64)))
    case .gelu: Float(0.5 * x64 * (1 + erf(x64 / 2.0.squareRoot())))
    }
  }
}

extension ReferenceContext {
  func sinusoidal(_ op: Sinusoidal) {
    let half = op.width / 2
    each { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: op.width)
      let i = column % half
      let frequency = exp(-log(Double(op.maximumPeriod)) * Double(i) / Double(half))
      let angle = Double(op.scale * operands[0].floats[row]) * frequency
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
      let mean = op.kind == .layer ? x.reduce(0, +) / Double(width) : 0
      let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
      let reciprocal = 1 / (variance + Double(op.epsilon)).squareRoot()
      for channel in 0..<width {
        var y = Float((x[channel] - mean) * reciprocal)
        if let weight { y *= weight[channel] }
        if let bias { y += bias[channel] }
        if op.isModulated {
          let at = row / rowsPerItem * width + channel
          y = y * (1 + operands[1].floats[at]) + operands[2].floats[at]
        }
        result.floats[row * width + channel] = op.activation.value(y)
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
          let meanSquare = x.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(width)
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
        let angle = Double(position) * pow(Double(grid.base), -Double(i) / Double(pairs))
        let (a, b) = (axis * axisWidth + i, axis * axisWidth + i + pairs)
        let (xa, xb) = (x[a], x[b])
        x[a] = xa * Float(cos(angle)) - xb * Float(sin(angle))
        x[b] = xb * Float(cos(angle)) + xa * Float(sin(angle))
      }
    }
  }

  func attention(_ op: Attention) {
    let (tokens, width) = (result.shape[1], result.shape[2] / op.heads)
    let scale = 1 / Double(width).squareRoot()
    for item in 0..<result.shape[0] {
      for token in 0..<tokens {
        for head in 0..<op.heads {
          let start = (item * tokens + token) * result.shape[2] + head * width
          let sharedHead = head / (op.heads / op.keyValueHeads)
          let keys = keyRows(op, item: item, head: sharedHead, width: width)
          let scores = keys.map { key in
            let dot = (0..<width).reduce(0.0) {
              $0 + Double(operands[0].floats[start + $1]) * Double(key.keys[key.offset + $1])
            }
            return dot * scale + Double(key.bias)
          }
          let top = scores.max() ?? 0
          let weights = scores.map { exp($0 - top) }
          let total = weights.reduce(0, +)
          for i in 0..<width {
            let sum = zip(keys, weights).reduce(0.0) {
              $0 + Double($1.0.values[$1.0.offset + i]) * $1.1
            }
            result.floats[start + i] = Float(sum / total)
          }
        }
      }
    }
  }

  /// The keys that one query head of one batch item sees, over all segments.
  private func keyRows(
    _ op: Attention, item: Int, head: Int, width: Int
  ) -> [(
    keys: UnsafeMutableBufferPointer<Float>, values: UnsafeMutableBufferPointer<Float>,
    offset: Int, bias: Float
  )] {
    op.segmentOperands.flatMap { segment in
      let count = operands[segment.keys].shape[1]
      return (0..<count).map { key in
        let row = item * count + key
        return (
          operands[segment.keys].floats, operands[segment.values].floats,
          row * operands[segment.keys].shape[2] + head * width,
          segment.bias.map { operands[$0].floats[row] } ?? 0
        )
      }
    }
  }
}
