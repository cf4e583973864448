import TensorTypes

/// Where the low-rank update of a linear enters a graph.
package enum PeelInput {
  /// The input that holds `down`, `[rank, in]` in blocks of 16 outputs.
  package static func down(_ weight: WeightReference) -> String { "\(weight.name).down" }
  /// The input that holds `up`, `[out, rank]` in blocks of 16 outputs.
  package static func up(_ weight: WeightReference) -> String { "\(weight.name).up" }
}

extension Graph {
  /// The graph with `up (down x)` added to what each linear whose weight is among `sites` makes
  /// of its input x, before its activation. `down` and `up` are new inputs (`PeelInput`).
  ///
  /// `sites` gives each weight the rank that there is room for, an even number.
  ///
  /// Run it before epilogues are fused. `up` is multiplied in the linear's own epilogue, so that
  /// the update is never in memory. Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language
  /// Models".
  package func attachingPeels(to sites: [WeightReference: Int]) -> Graph {
    var inputs = self.inputs
    var attached: [Node] = []
    var nextID = 1 + (inputs.map(\.value) + nodes.map(\.result)).reduce(0) { max($0, $1.id) }
    func value(_ shape: Shape) -> Value {
      defer { nextID += 1 }
      return Value(id: nextID, shape: shape, elementType: .float32)
    }
    func factor(_ name: String, outputs: Int, inputs width: Int) -> Value {
      let matrix = value(Matmul.matrixShape(outputs: outputs, inputs: width))
      inputs.append(NamedValue(name: name, value: matrix))
      return matrix
    }
    for node in nodes {
      guard case .linear(var op) = node.op, let rank = sites[op.weight] else {
        attached.append(node)
        continue
      }
      precondition(op.epilogue == Epilogue(), "\(op.weight.name) is fused already")
      let x = node.operands[0]
      let down = factor(PeelInput.down(op.weight), outputs: rank, inputs: x.shape.last)
      let up = factor(PeelInput.up(op.weight), outputs: op.weight.shape[0], inputs: rank)
      let inner = value(x.shape.replacingLast(with: rank))
      attached.append(
        Node(op: .matmul(Matmul(outputs: rank)), operands: [x, down], result: inner))
      op.epilogue.hasUpdate = true
      attached.append(
        Node(op: .linear(op), operands: node.operands + [inner, up], result: node.result))
    }
    return Graph(name: name, inputs: inputs, nodes: attached, outputs: outputs, taps: taps)
      .verified()
  }
}
