import TensorTypes

/// Where the change of a linear or convolution by peels enters a graph: the names of its inputs.
package enum PeelInput {
  /// `down`, `[rank, in]` in blocks of 16 outputs; for a convolution `[place * rank, in]`, a place
  /// of the kernel after the other.
  package static func down(_ weight: WeightReference) -> String { "\(weight.name).down" }
  /// `up`, `[out, rank]` in blocks of 16 outputs.
  package static func up(_ weight: WeightReference) -> String { "\(weight.name).up" }
  /// `[in]`: what the inputs of the base are multiplied by.
  package static func inputScale(_ weight: WeightReference) -> String { "\(weight.name).in" }
  /// `[out]`: what the outputs of the base, less its bias, are multiplied by.
  package static func outputScale(_ weight: WeightReference) -> String { "\(weight.name).out" }
  /// `[out]`: what is added to the bias.
  package static func shift(_ weight: WeightReference) -> String { "\(weight.name).shift" }
}

/// What peels change at one linear or convolution.
package struct PeelAttachment: Hashable, Sendable {
  /// Room along the rank of the low-rank update, an even number; 0 if there is none.
  package var rank: Int
  package var scalesInputs: Bool
  package var scalesOutputs: Bool
  package var shifts: Bool

  package init(
    rank: Int, scalesInputs: Bool = false, scalesOutputs: Bool = false, shifts: Bool = false
  ) {
    self.rank = rank
    self.scalesInputs = scalesInputs
    self.scalesOutputs = scalesOutputs
    self.shifts = shifts
  }
}

extension Graph {
  /// The graph with what peels change at the linears and convolutions whose weights are among
  /// `sites`, before their activations: `W x + bias` becomes
  /// `out * W (in * x) + up (down x) + bias + shift`. The factors are new inputs (`PeelInput`), and
  /// the weights are as they were.
  ///
  /// Run it before epilogues are fused. `up` is multiplied in the product's own epilogue, so that
  /// the update is never in memory, unless outputs are scaled. Hu et al. 2021, "LoRA: Low-Rank
  /// Adaptation of Large Language Models".
  package func attachingPeels(to sites: [WeightReference: PeelAttachment]) -> Graph {
    var attaching = PeelAttaching(self)
    for node in nodes {
      if let product = node.op.weightProduct, let attachment = sites[product.weight] {
        precondition(product.epilogue == Epilogue(), "\(product.weight.name) is fused already")
        attaching.attach(attachment, to: product, node)
      } else {
        attaching.nodes.append(node)
      }
    }
    return Graph(
      name: name, inputs: attaching.inputs, nodes: attaching.nodes, outputs: outputs, taps: taps
    ).verified()
  }
}

private struct PeelAttaching {
  var inputs: [NamedValue]
  var nodes: [Node] = []
  private var nextID: Int

  init(_ graph: Graph) {
    inputs = graph.inputs
    nextID =
      1 + (graph.inputs.map(\.value) + graph.nodes.map(\.result)).reduce(0) { max($0, $1.id) }
  }

  private mutating func value(_ shape: Shape) -> Value {
    defer { nextID += 1 }
    return Value(id: nextID, shape: shape, elementType: .float32)
  }

  private mutating func input(_ name: String, _ shape: Shape) -> Value {
    let value = value(shape)
    inputs.append(NamedValue(name: name, value: value))
    return value
  }

  private mutating func append(_ op: Op, _ operands: [Value], as shape: Shape) -> Value {
    let result = value(shape)
    nodes.append(Node(op: op, operands: operands, result: result))
    return result
  }

  mutating func attach(_ attachment: PeelAttachment, to product: any WeightProduct, _ node: Node) {
    let (weight, x, shape) = (product.weight, node.operands[0], node.result.shape)
    var operands = [x]
    var epilogue = Epilogue()
    var rows: [Value] = []
    let update = update(attachment.rank, of: product, x, shape)
    if attachment.scalesInputs {
      let scale = input(PeelInput.inputScale(weight), [x.shape.last])
      operands = [append(.binary(.multiply), [x, scale], as: x.shape)]
    }
    if attachment.scalesOutputs {
      epilogue.hasGate = true
      operands.append(input(PeelInput.outputScale(weight), [shape.last]))
      if let (inner, up) = update {
        epilogue.hasResidual = true
        operands.append(append(.matmul(Matmul(outputs: shape.last)), [inner, up], as: shape))
      }
      if let bias = product.bias {
        let op = Parameter(weight: bias, shape: bias.shape)
        rows.append(append(.parameter(op), [], as: bias.shape))
      }
    } else if let (inner, up) = update {
      epilogue.hasUpdate = true
      operands += [inner, up]
    }
    if attachment.shifts { rows.append(input(PeelInput.shift(weight), [shape.last])) }
    // The last of them makes what the others read.
    var steps: [(op: Op, operands: [Value])] = [
      (product.op(epilogue, hasBias: !attachment.scalesOutputs), operands)
    ]
    steps += rows.map { (.binary(.add), [$0]) }
    var made: Value?
    for (index, step) in steps.enumerated() {
      let result = index == steps.count - 1 ? node.result : value(shape)
      let operands = (made.map { [$0] } ?? []) + step.operands
      nodes.append(Node(op: step.op, operands: operands, result: result))
      made = result
    }
  }

  /// `down x`, `[…, rank]` of the result's places, and the input that holds `up`.
  private mutating func update(
    _ rank: Int, of product: any WeightProduct, _ x: Value, _ result: Shape
  ) -> (inner: Value, up: Value)? {
    if rank == 0 { return nil }
    let weight = product.weight
    let places = weight.shape.count / (weight.shape[0] * weight.shape.last)
    let down = input(
      PeelInput.down(weight),
      Matmul.matrixShape(outputs: places * rank, inputs: weight.shape.last))
    let up = input(
      PeelInput.up(weight), Matmul.matrixShape(outputs: weight.shape[0], inputs: rank))
    var inner = append(
      .matmul(Matmul(outputs: places * rank)), [x, down],
      as: x.shape.replacingLast(with: places * rank))
    if let op = product as? Convolution {
      inner = append(
        .patchSum(PatchSum(of: op)), [inner], as: result.replacingLast(with: rank))
    }
    return (inner, up)
  }
}
