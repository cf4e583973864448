import Graph
import TensorTypes

/// How the inputs of all weights of a component that become integers are rounded.
struct InputRoundings {
  private var byWeight: [WeightReference: InputRounding] = [:]

  /// - Parameters:
  ///   - graphs: The networks that read the weights.
  ///   - weights: Of the component; they are read once.
  ///   - isStopped: Whether to end, asked now and then.
  /// - Throws: `ImportError`.
  init(
    _ graphs: [Graph], _ weights: [MatchedWeight], formats: [WeightReference: StorageFormat],
    isStopped: () -> Bool
  ) throws(ImportError) {
    let files = Dictionary(uniqueKeysWithValues: weights.map { ($0.reference, $0) })
    for graph in graphs where graph.weights.contains(where: { formats[$0]?.isOfIntegers == true }) {
      var walk = MomentWalk(graph, files)
      for node in graph.nodes {
        if isStopped() { throw .cancelled }
        try walk.visit(node)
      }
      for (weight, rounding) in walk.roundings where formats[weight]?.isOfIntegers == true {
        byWeight[weight] = byWeight[weight] ?? rounding
      }
    }
  }

  subscript(weight: WeightReference) -> InputRounding? { byWeight[weight] }
}

extension StorageFormat {
  fileprivate var isOfIntegers: Bool {
    switch self {
    case .int8, .int4: true
    default: false
    }
  }
}

/// Walks through a network with the moments of its values, which its weights tell: each product's
/// outputs have the sums of its weights' squares times its inputs' variances, as if inputs knew
/// nothing of each other. Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization
/// and Bias Correction", section 4, whose networks have batch norms where these have others.
struct MomentWalk {
  /// What a value's products read: those that read the same have to agree.
  private struct Readers {
    var weights: [WeightReference] = []
    /// `[in]`: the means of their squares, added up.
    var squares: [Double]
  }

  private let files: [WeightReference: MatchedWeight]
  private let producers: [Value: Node]
  /// Nil where nothing is known.
  private(set) var moments: [Value: ChannelMoments] = [:]
  private var readers: [Value: Readers] = [:]

  init(_ graph: Graph, _ files: [WeightReference: MatchedWeight]) {
    self.files = files
    producers = Dictionary(uniqueKeysWithValues: graph.nodes.map { ($0.result, $0) })
    // Latents are; of a text's channels nothing is known.
    for input in graph.inputs where input.value.shape.rank == 4 {
      moments[input.value] = ChannelMoments(normal: input.value.shape.last)
    }
  }

  /// How the inputs of each product that was visited are best rounded: smoothed behind a norm,
  /// whose gains and biases say how large channels are; elsewhere expectations are too far from
  /// what is drawn, and smoothing by them loses more than it gains.
  var roundings: [WeightReference: InputRounding] {
    var roundings: [WeightReference: InputRounding] = [:]
    for (value, readers) in readers {
      var (source, activation) = (value, Activation.none)
      if let node = producers[value], case .activation(let function) = node.op {
        (source, activation) = (node.operands[0], function)
      }
      let normed = isBehindNorm(source) ? moments[source] : nil
      let rounding =
        normed.flatMap {
          InputRounding(InputSizes($0, behind: activation), weights: readers.squares)
        } ?? InputRounding(behind: activation)
      for weight in readers.weights { roundings[weight] = rounding }
    }
    return roundings
  }

  private func isBehindNorm(_ value: Value) -> Bool {
    switch producers[value]?.op {
    case .norm, .groupNorm: true
    default: false
    }
  }

  /// - Precondition: What the node reads has been visited, or is an input.
  mutating func visit(_ node: Node) throws(ImportError) {
    let operands = node.operands.map { moments[$0] }
    func first(_ make: (ChannelMoments) -> ChannelMoments) -> ChannelMoments? {
      operands[0].map(make)
    }
    let channels = node.result.shape.last
    moments[node.result] =
      switch node.op {
      case .linear(let op): try product(node, op.weight, op.bias)
      case .convolution(let op): try product(node, op.weight, op.bias)
      case .norm(let op) where !op.isModulated && op.kind == .layer:
        (operands[0] ?? ChannelMoments(normal: channels)).normalized(
          width: channels, gains: try op.weight.map(numbers), biases: try op.bias.map(numbers))
      case .groupNorm(let op):
        (operands[0] ?? ChannelMoments(normal: channels)).normalized(
          width: channels / op.groups, gains: try op.weight.map(numbers),
          biases: try op.bias.map(numbers))
      case .activation(let function): first { $0.mapped(by: function) }
      case .gatedActivation(let op):
        first { $0[0..<channels] * $0[channels..<2 * channels].mapped(by: op.activation) }
      case .binary(.add): combined(operands, +)
      case .binary(.multiply): combined(operands, *)
      case .attention(let op): moments[node.operands[op.segmentOperands[0].values]]
      case .reshape: node.operands[0].shape.last == channels ? operands[0] : nil
      case .concatenation: joined(node.operands)
      case .slice(let op): first { $0[op.offset..<op.offset + op.count] }
      case .scale(let op):
        first {
          ChannelMoments(
            means: $0.means.map { $0 * Double(op.factor) + Double(op.offset) },
            variances: $0.variances.map { $0 * Double(op.factor * op.factor) })
        }
      default: nil
      }
    if moments[node.result]?.isFinite == false { moments[node.result] = nil }
  }

  private func combined(
    _ operands: [ChannelMoments?], _ combine: (ChannelMoments, ChannelMoments) -> ChannelMoments
  ) -> ChannelMoments? {
    guard let a = operands[0], let b = operands[1] else { return operands[0] ?? operands[1] }
    return combine(a, b)
  }

  /// What is not known has the size of what it stands beside.
  private func joined(_ operands: [Value]) -> ChannelMoments? {
    if operands.allSatisfy({ moments[$0] == nil }) { return nil }
    return .joined(operands.map { moments[$0] ?? ChannelMoments(normal: $0.shape.last) })
  }

  private func numbers(_ weight: WeightReference) throws(ImportError) -> [Float] {
    let rows = SourceRows(files[weight]!)
    return try rows.read(0..<rows.rows)
  }

  /// The moments of a product's outputs; takes its weights' squares down beside those of others
  /// that read the same.
  private mutating func product(
    _ node: Node, _ weight: WeightReference, _ bias: WeightReference?
  ) throws(ImportError) -> ChannelMoments {
    var input = node.operands[0]
    while let node = producers[input], case .reshape = node.op,
      node.operands[0].shape.last == input.shape.last
    { input = node.operands[0] }
    let channels = weight.shape.last
    let known = moments[input] ?? ChannelMoments(normal: channels)
    var sums = ProductMoments(SourceRows(files[weight]!), known)
    try sums.read()
    var noted = readers[input] ?? Readers(squares: Array(repeating: 0, count: channels))
    noted.weights.append(weight)
    noted.squares = zip(noted.squares, sums.squares).map { $0 + $1 }
    readers[input] = noted
    var result = sums.moments
    if let bias {
      for (output, number) in try numbers(bias).enumerated() {
        result.means[output] += Double(number)
      }
    }
    return result
  }
}

/// Sums over a weight's rows.
private struct ProductMoments {
  private let rows: SourceRows
  /// By column.
  private let means: [Float]
  private let variances: [Float]
  private var columnSquares: [Float]
  private(set) var moments = ChannelMoments(means: [], variances: [])
  private let channels: Int

  init(_ rows: SourceRows, _ inputs: ChannelMoments) {
    self.rows = rows
    let count = inputs.means.count
    channels = count
    means = (0..<rows.columns).map { Float(inputs.means[$0 % count]) }
    variances = (0..<rows.columns).map { Float(inputs.variances[$0 % count]) }
    columnSquares = Array(repeating: 0, count: rows.columns)
  }

  mutating func read() throws(ImportError) {
    for start in stride(from: 0, to: rows.rows, by: rows.piece) {
      let numbers = try rows.read(start..<min(start + rows.piece, rows.rows))
      for row in 0..<numbers.count / rows.columns { add(numbers, from: row * rows.columns) }
    }
  }

  private mutating func add(_ numbers: [Float], from start: Int) {
    var (mean, variance) = (SIMD8<Float>(), SIMD8<Float>())
    let (count, means, variances) = (rows.columns, means, variances)
    numbers.withUnsafeBytes { numbers in
      columnSquares.withUnsafeMutableBytes { columnSquares in
        means.withUnsafeBytes { means in
          variances.withUnsafeBytes { variances in
            for column in stride(from: 0, to: count, by: 8) {
              let number = numbers.floats(start + column, count - column)
              let square = number * number
              mean += number * means.floats(column, count - column)
              variance += square * variances.floats(column, count - column)
              let before = UnsafeRawBufferPointer(columnSquares).floats(column, count - column)
              let sum = before + square
              if count - column >= 8 {
                columnSquares.storeBytes(
                  of: sum, toByteOffset: 4 * column, as: SIMD8<Float>.self)
              } else {
                for lane in 0..<count - column {
                  columnSquares.storeBytes(
                    of: sum[lane], toByteOffset: 4 * (column + lane), as: Float.self)
                }
              }
            }
          }
        }
      }
    }
    moments.means.append(Double(mean.sum()))
    moments.variances.append(Double(variance.sum()))
  }

  /// `[in]`: the mean of the squares of each input's weights.
  var squares: [Double] {
    var squares = Array(repeating: 0.0, count: channels)
    for column in 0..<rows.columns {
      squares[column % channels] += Double(columnSquares[column])
    }
    return squares.map { $0 * Double(channels) / Double(rows.rows * rows.columns) }
  }
}

extension UnsafeRawBufferPointer {
  /// Eight floats from the one of this index on, of which `count` are there; the others are 0.
  @inline(__always) fileprivate func floats(_ index: Int, _ count: Int) -> SIMD8<Float> {
    if count >= 8 { return loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self) }
    var result = SIMD8<Float>()
    for lane in 0..<count {
      result[lane] = loadUnaligned(fromByteOffset: 4 * (index + lane), as: Float.self)
    }
    return result
  }
}
