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
    each { table[Int(operands[0].indices[$0 / width]) * width + $0 % width] }
  }

  func linear(_ op: Linear) {
    let weight = self.weight(op.weight)
    let bias = op.bias.map(self.weight)
    let (inputs, outputs) = (op.weight.shape[1], op.weight.shape[0])
    let x = operands[0].elements
    each { index in
      let (row, output) = index.quotientAndRemainder(dividingBy: outputs)
      var sum = Double(bias?[output] ?? 0)
      for i in 0..<inputs {
        sum += Double(x[row * inputs + i]) * Double(weight[output * inputs + i])
      }
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
      sum += Double(x.floats[row * inputs + i]) * Double(matrix.floats[at])
    }
    return Float(sum)
  }

  func convolution(_ op: Convolution) {
    let weight = self.weight(op.weight)
    let bias = op.bias.map(self.weight)
    let (kernelHeight, kernelWidth) = (op.weight.shape[1], op.weight.shape[2])
    let (height, width, inputs) = (result.shape[1], result.shape[2], op.weight.shape[3])
    let picture = operands[0].elements
    each { index in
      let (pixel, output) = index.quotientAndRemainder(dividingBy: result.shape[3])
      let (x, y, item) = (pixel % width, pixel / width % height, pixel / width / height)
      var sum = Double(bias?[output] ?? 0)
      for ky in 0..<kernelHeight {
        for kx in 0..<kernelWidth {
          let (sy, sx) = (y + ky - kernelHeight / 2, x + kx - kernelWidth / 2)
          guard (0..<height).contains(sy), (0..<width).contains(sx) else { continue }
          let source = ((item * height + sy) * width + sx) * inputs
          let tap = ((output * kernelHeight + ky) * kernelWidth + kx) * inputs
          for i in 0..<inputs {
            sum += Double(picture[source + i]) * Double(weight[tap + i])
          }
        }
      }
      return finished(Float(sum), at: index, op.epilogue)
    }
  }

  func slice(_ op: Slice) {
    let width = operands[0].shape.last
    each { operands[0].floats[$0 / op.count * width + op.offset + $0 % op.count] }
  }

  func meanPool() {
    let (x, mask) = (operands[0], operands[1])
    let (tokens, width) = (x.shape[1], x.shape[2])
    each { index in
      let (item, channel) = index.quotientAndRemainder(dividingBy: width)
      var (sum, count) = (0.0, 0.0)
      for token in 0..<tokens {
        let weight = Double(mask.floats[item * tokens + token])
        sum += weight * Double(x.floats[(item * tokens + token) * width + channel])
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
