extension Graph {
  /// The graph without nodes whose results nothing reads.
  package func removingDeadNodes() -> Graph {
    var live = Set(outputs.map(\.value))
    var kept: [Node] = []
    for node in nodes.reversed() where live.contains(node.result) {
      live.formUnion(node.operands)
      kept.append(node)
    }
    return Graph(name: name, inputs: inputs, nodes: kept.reversed(), outputs: outputs)
      .verified()
  }
}
