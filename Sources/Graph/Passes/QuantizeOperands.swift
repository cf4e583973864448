extension Graph {
  /// The graph with the first operands of matrix products quantized, once for all that want the
  /// same.
  /// - Parameter wanted: How a linear or convolution wants its first operand; nil for f32.
  package func quantizingOperands(_ wanted: (Op) -> Quantize?) -> Graph {
    var nextID = 1 + (inputs.map(\.value) + nodes.map(\.result)).reduce(0) { max($0, $1.id) }
    var quantized: [[AnyHashable]: Value] = [:]
    var result: [Node] = []
    for node in nodes {
      guard let op = wanted(node.op) else {
        result.append(node)
        continue
      }
      let x = node.operands[0]
      var value = quantized[[x, op]]
      if value == nil {
        let fresh = Value(id: nextID, shape: x.shape, elementType: .int8(op))
        nextID += 1
        result.append(Node(op: .quantize(op), operands: [x], result: fresh))
        quantized[[x, op]] = fresh
        value = fresh
      }
      result.append(
        Node(op: node.op, operands: [value!] + node.operands.dropFirst(), result: node.result))
    }
    return Graph(name: name, inputs: inputs, nodes: result, outputs: outputs, taps: taps)
      .verified()
  }
}
