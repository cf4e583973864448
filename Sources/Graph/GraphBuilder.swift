package import TensorTypes

/// Traces plain calls on symbolic values into a `Graph`.
///
/// Wrong shapes are mistakes in model code and trap; configurations that come from files are
/// checked before a network is traced.
package final class GraphBuilder {
  private let name: String
  private var inputs: [NamedValue] = []
  private var nodes: [Node] = []
  private var outputs: [NamedValue] = []
  private var taps: [NamedValue] = []
  private var nextID = 0

  package init(_ name: String) { self.name = name }

  package func input(
    _ name: String, _ shape: Shape, _ elementType: ElementType = .float32
  ) -> Value {
    precondition(!inputs.contains { $0.name == name }, "two inputs named \(name)")
    let value = makeValue(shape, elementType)
    inputs.append(NamedValue(name: name, value: value))
    return value
  }

  package func output(_ name: String, _ value: Value) {
    precondition(!outputs.contains { $0.name == name }, "two outputs named \(name)")
    outputs.append(NamedValue(name: name, value: value))
  }

  /// Names a value inside the network, for comparisons.
  package func tap(_ name: String, _ value: Value) {
    taps.append(NamedValue(name: name, value: value))
  }

  /// The graph traced so far, verified.
  package func build() -> Graph {
    Graph(name: name, inputs: inputs, nodes: nodes, outputs: outputs, taps: taps).verified()
  }

  /// Appends a node; the typed calls below are its only users in model code.
  package func append(_ op: Op, _ operands: [Value]) -> Value {
    do throws(ShapeError) {
      let payload = op.payload
      let shape = try payload.resultShape(operands)
      let result = makeValue(shape, payload.resultType(operands))
      nodes.append(Node(op: op, operands: operands, result: result))
      return result
    } catch { preconditionFailure("\(name): \(error)") }
  }

  private func makeValue(_ shape: Shape, _ elementType: ElementType) -> Value {
    defer { nextID += 1 }
    return Value(id: nextID, shape: shape, elementType: elementType)
  }
}

extension GraphBuilder {
  package func parameter(
    _ weight: WeightReference, rows: Int? = nil, as shape: Shape
  ) -> Value {
    append(.parameter(Parameter(weight: weight, rows: rows, shape: shape)), [])
  }

  /// - Parameter more: Rows behind the table's, `[row, width]`.
  package func embedding(
    _ ids: Value, _ table: WeightReference, more: Value? = nil
  ) -> Value {
    append(.embedding(Embedding(table: table)), [ids] + (more.map { [$0] } ?? []))
  }

  package func sinusoidal(
    _ x: Value, width: Int, scale: Float, maximumPeriod: Float = 10_000
  ) -> Value {
    append(
      .sinusoidal(Sinusoidal(width: width, scale: scale, maximumPeriod: maximumPeriod)), [x])
  }

  package func linear(
    _ x: Value, _ weight: WeightReference, bias: WeightReference? = nil
  ) -> Value {
    append(.linear(Linear(weight: weight, bias: bias)), [x])
  }

  package func convolution(
    _ x: Value, _ weight: WeightReference, bias: WeightReference? = nil, stride: Int = 1,
    padding: Convolution.Padding = .allSides, upsampling: Int = 1
  ) -> Value {
    append(
      .convolution(
        Convolution(
          weight: weight, bias: bias, stride: stride, padding: padding, upsampling: upsampling)),
      [x])
  }

  package func rmsNorm(_ x: Value, weight: WeightReference? = nil, epsilon: Float) -> Value {
    append(.norm(Norm(kind: .rootMeanSquare, epsilon: epsilon, weight: weight)), [x])
  }

  package func modulatedRMSNorm(
    _ x: Value, shift: Value, scale: Value, epsilon: Float
  ) -> Value {
    append(
      .norm(Norm(kind: .rootMeanSquare, epsilon: epsilon, isModulated: true)), [x, scale, shift])
  }

  package func layerNorm(
    _ x: Value, weight: WeightReference, bias: WeightReference, epsilon: Float
  ) -> Value {
    append(.norm(Norm(kind: .layer, epsilon: epsilon, weight: weight, bias: bias)), [x])
  }

  package func groupNorm(
    _ x: Value, weight: WeightReference? = nil, bias: WeightReference? = nil, groups: Int,
    epsilon: Float
  ) -> Value {
    append(
      .groupNorm(GroupNorm(groups: groups, epsilon: epsilon, weight: weight, bias: bias)), [x])
  }

  package func headNorm(
    _ x: Value, heads: Int, weight: WeightReference?, epsilon: Float, grid: HeadNorm.Grid?
  ) -> Value {
    append(.headNorm(HeadNorm(heads: heads, weight: weight, epsilon: epsilon, grid: grid)), [x])
  }

  /// One stretch of keys and values that queries attend to.
  package struct KeyValueSegment {
    package let keys: Value
    package let values: Value
    package let bias: Value?
    package let isCausal: Bool

    package init(keys: Value, values: Value, bias: Value? = nil, isCausal: Bool = false) {
      self.keys = keys
      self.values = values
      self.bias = bias
      self.isCausal = isCausal
    }
  }

  package func attention(
    _ queries: Value, _ segments: [KeyValueSegment], heads: Int, keyValueHeads: Int
  ) -> Value {
    let op = Attention(
      heads: heads, keyValueHeads: keyValueHeads,
      segments: segments.map {
        Attention.Segment(isMasked: $0.bias != nil, isCausal: $0.isCausal)
      })
    let operands = segments.flatMap { [$0.keys, $0.values] + ($0.bias.map { [$0] } ?? []) }
    return append(.attention(op), [queries] + operands)
  }

  package func silu(_ x: Value) -> Value { append(.activation(.silu), [x]) }
  package func gelu(_ x: Value) -> Value { append(.activation(.gelu), [x]) }
  package func quickGELU(_ x: Value) -> Value { append(.activation(.quickGELU), [x]) }
  package func relu(_ x: Value) -> Value { append(.activation(.relu), [x]) }
  package func tanh(_ x: Value) -> Value { append(.activation(.tanh), [x]) }

  /// The first half of the channels times the activation of the second; GEGLU with `gelu`.
  package func gated(_ x: Value, by activation: Activation) -> Value {
    append(.gatedActivation(GatedActivation(activation)), [x])
  }

  package func scale(_ x: Value, by factor: Float, plus offset: Float = 0) -> Value {
    append(.scale(Scale(factor: factor, offset: offset)), [x])
  }

  package func add(_ a: Value, _ b: Value) -> Value { append(.binary(.add), [a, b]) }
  package func multiply(_ a: Value, _ b: Value) -> Value { append(.binary(.multiply), [a, b]) }

  package func slice(_ x: Value, _ range: Range<Int>) -> Value {
    append(.slice(Slice(offset: range.lowerBound, count: range.count)), [x])
  }

  /// Equal parts of the innermost axis.
  package func split(_ x: Value, into parts: Int) -> [Value] {
    let width = x.shape.last / parts
    precondition(width * parts == x.shape.last, "\(x.shape) does not split into \(parts)")
    return (0..<parts).map { slice(x, $0 * width..<($0 + 1) * width) }
  }

  /// Channels side by side.
  package func concatenate(_ parts: [Value]) -> Value {
    append(.concatenation(Concatenation()), parts)
  }

  package func meanPool(_ x: Value, mask: Value) -> Value {
    append(.meanPool(MeanPool()), [x, mask])
  }

  package func depthToSpace(_ x: Value, factor: Int) -> Value {
    append(.depthToSpace(DepthToSpace(factor: factor)), [x])
  }

  package func spaceToDepth(_ x: Value, factor: Int) -> Value {
    append(.spaceToDepth(SpaceToDepth(factor: factor)), [x])
  }

  package func fold(_ x: Value, patch: Int, overlap: Int) -> Value {
    append(.fold(Fold(.fold, patch: patch, overlap: overlap)), [x])
  }

  package func unfold(_ x: Value, patch: Int, overlap: Int) -> Value {
    append(.fold(Fold(.unfold, patch: patch, overlap: overlap)), [x])
  }

  package func reshape(_ x: Value, _ shape: Shape) -> Value {
    append(.reshape(Reshape(shape)), [x])
  }
}
