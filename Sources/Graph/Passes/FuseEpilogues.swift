import TensorTypes

extension Graph {
  /// The graph with activations, gates and residuals folded into the linear or convolution before
  /// them, and activations into the norm before them, wherever nothing else reads what is between.
  ///
  /// The result keeps each value that remains, so it can be compared with the plain graph.
  package func fusingEpilogues() -> Graph {
    var readers: [Value: Int] = [:]
    for node in nodes { for operand in node.operands { readers[operand, default: 0] += 1 } }
    for output in outputs { readers[output.value, default: 0] += 1 }

    var fused: [Node] = []
    var position: [Value: Int] = [:]
    for node in nodes {
      if let (producer, op, operands) = node.absorbed(producers: position, in: fused, readers) {
        // The fused node runs where the absorbed one ran, so that all its operands exist.
        position[fused[producer].result] = nil
        fused[producer] = Node(op: .reshape(Reshape([0])), operands: [], result: Self.removed)
        fused.append(Node(op: op, operands: operands, result: node.result))
      } else {
        fused.append(node)
      }
      position[node.result] = fused.count - 1
    }
    let kept = fused.filter { $0.result != Self.removed }
    return Graph(name: name, inputs: inputs, nodes: kept, outputs: outputs).verified()
  }

  private static let removed = Value(id: -1, shape: [0], elementType: .float32)
}

extension Node {
  /// The producer that can take this node's work as its epilogue, with the op that does both.
  fileprivate func absorbed(
    producers: [Value: Int], in nodes: [Node], _ readers: [Value: Int]
  ) -> (producer: Int, op: Op, operands: [Value])? {
    for (index, operand) in operands.enumerated() {
      guard let position = producers[operand], readers[operand] == 1 else { continue }
      let others = operands.indices.filter { $0 != index }.map { operands[$0] }
      let producer = nodes[position]
      guard let op = producer.op.absorbing(op, others, result: producer.result, at: index) else {
        continue
      }
      return (position, op, producer.operands + others)
    }
    return nil
  }
}

extension Op {
  /// This op followed by `next`, as one op; nil if its epilogue has no place for it.
  fileprivate func absorbing(
    _ next: Op, _ others: [Value], result: Value, at index: Int
  ) -> Op? {
    if case .linear(var op) = self,
      let epilogue = op.epilogue.absorbing(next, others, result: result, at: index)
    {
      op.epilogue = epilogue
      return .linear(op)
    }
    if case .convolution(var op) = self,
      let epilogue = op.epilogue.absorbing(next, others, result: result, at: index)
    {
      op.epilogue = epilogue
      return .convolution(op)
    }
    if case .norm(var op) = self, case .activation(let function) = next, op.activation == .none {
      op.activation = function
      return .norm(op)
    }
    if case .groupNorm(var op) = self, case .activation(let function) = next,
      op.activation == .none
    {
      op.activation = function
      return .groupNorm(op)
    }
    return nil
  }
}
