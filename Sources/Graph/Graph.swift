import TensorTypes

/// One op applied to values.
package struct Node: Hashable, Sendable {
  package let op: Op
  package let operands: [Value]
  package let result: Value

  package init(op: Op, operands: [Value], result: Value) {
    self.op = op
    self.operands = operands
    self.result = result
  }

  /// Multiply-adds count as two; only matrix products are counted.
  package var operationCount: Int { op.payload.operationCount(operands, result: result.shape) }
}

/// A name that callers use for a value.
package struct NamedValue: Hashable, Sendable {
  package let name: String
  package let value: Value

  package init(name: String, value: Value) {
    self.name = name
    self.value = value
  }
}

/// A network traced for one set of static shapes: nodes in an order in which they can run.
package struct Graph: Hashable, Sendable {
  package let name: String
  package let inputs: [NamedValue]
  package let nodes: [Node]
  package let outputs: [NamedValue]
  /// Values inside the network that have a name, for comparing it with another implementation of
  /// it layer by layer. Passes drop them.
  package let taps: [NamedValue]

  package init(
    name: String, inputs: [NamedValue], nodes: [Node], outputs: [NamedValue],
    taps: [NamedValue] = []
  ) {
    self.name = name
    self.inputs = inputs
    self.nodes = nodes
    self.outputs = outputs
    self.taps = taps
  }

  /// The graph with its taps as outputs.
  package func exposingTaps() -> Graph {
    Graph(name: name, inputs: inputs, nodes: nodes, outputs: outputs + taps)
  }

  /// Every stored tensor that the graph reads, in order of first use, each once.
  package var weights: [WeightReference] {
    var seen = Set<WeightReference>()
    return nodes.flatMap(\.op.payload.weights).filter { seen.insert($0).inserted }
  }

  package var operationCount: Int { nodes.reduce(0) { $0 + $1.operationCount } }

  /// One line a node: `%7 = linear(%3, %5) layers.0.out.weight : [1, 64, 384]`.
  package func dump() -> String {
    var lines = ["graph \(name)"]
    lines += inputs.map { "  %\($0.value.id) = input \"\($0.name)\" : \($0.value.shape)" }
    lines += nodes.map { node in
      let operands = node.operands.map { "%\($0.id)" }.joined(separator: ", ")
      let op = node.op.payload
      let weights = op.weights.map { " \($0.name)" }.joined()
      return "  %\(node.result.id) = \(op.name)(\(operands))\(weights) : \(node.result.shape)"
    }
    lines += outputs.map { "  output \"\($0.name)\" = %\($0.value.id)" }
    return lines.joined(separator: "\n") + "\n"
  }
}
