import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Quantize, _ node: Node) {
    let shape = node.result.shape
    let layout = op.layout(of: shape)
    let operands = [read(node.operands[0]), write(node.result)]
    func arguments(_ stage: UInt32, rows: Int, words: Int) -> [UInt32] {
      [
        stage, UInt32(rows), UInt32(shape.count / max(1, rows)), UInt32(words),
        UInt32(layout.scales / 4),
      ]
    }
    switch op.scaling {
    case .row:
      append(
        Step(
          op.name, .quantize, operands,
          arguments(0, rows: shape.rows, words: layout.rowBytes / 4), groups: shape.rows))
    case .item:
      precondition(op.borderHeight == 0 && op.borderWidth == 0, "kernels here want no border")
      let words = (shape.count + 3) / 4
      append(
        Step(
          op.name, .quantize, operands, arguments(1, rows: shape[0], words: words),
          groups: shape[0] * Quantize.Layout.maximumParts))
      append(
        Step(
          op.name, .quantize, operands, arguments(2, rows: shape[0], words: words),
          groups: (words + ShaderCode.groupSize - 1) / ShaderCode.groupSize))
    }
  }
}
