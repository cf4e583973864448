import Execution
import Graph
import TensorTypes

extension Lowering {
  /// Two stretches of keys at most, because a shader has so many buffers.
  mutating func lower(_ op: Attention, _ node: Node) throws(ExecutionError) {
    let shape = node.result.shape
    let width = shape.last / op.heads
    guard op.segments.count <= 2, width <= 512 else {
      throw .unsupported(
        op: op.name,
        reason: "\(op.segments.count) segments, heads of \(width) channels: 2 and 512 at most")
    }
    var operands = [read(node.operands[0])]
    var (flags, counts): (UInt32, [Int]) = (0, [])
    for (index, (segment, form)) in zip(op.segmentOperands, op.segments).enumerated() {
      operands += [
        read(node.operands[segment.keys]), read(node.operands[segment.values]),
        segment.bias.map { read(node.operands[$0]) } ?? .absent,
      ]
      flags |= ((form.isMasked ? 1 : 0) | (form.isCausal ? 2 : 0)) << (2 * UInt32(index))
      counts.append(node.operands[segment.keys].shape[1])
    }
    if counts.count == 1 {
      operands += [.absent, .absent, .absent]
      counts.append(0)
    }
    let tiles = (shape[1] + 3) / 4
    append(
      Step(
        op.name, .attention, constants: [UInt32(width), UInt32((width + 63) / 64)],
        operands + [write(node.result)],
        [
          UInt32(shape[0]), UInt32(shape[1]), UInt32(op.heads),
          UInt32(op.heads / op.keyValueHeads), UInt32(counts[0]), UInt32(counts[1]), flags,
          Float(1 / Double(width).squareRoot()).bitPattern,
        ], groups: shape[0] * op.heads * tiles))
  }
}
