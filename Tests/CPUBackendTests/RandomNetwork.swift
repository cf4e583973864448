import Graph
import TensorTypes
import Weights

/// A small random network with weights, the same for the same seed: most ops, with shapes that fit
/// each other.
struct RandomNetwork {
  let graph: Graph
  let weights: TestWeights
  /// The weights of its linears.
  let linears: [WeightReference]

  private static let tokens = 16
  private static let batch = 2

  init(seed: Int, _ format: StorageFormat = .float32, nodes: Int = 14) {
    var trace = Trace(seed: seed, format)
    for _ in 0..<nodes { trace.step() }
    graph = trace.build("random \(seed)")
    weights = trace.weights
    linears = trace.linears
  }

  /// Calls of the builder, picked by chance.
  private struct Trace {
    private var random: SeededGenerator
    private let format: StorageFormat
    private let g: GraphBuilder
    private(set) var weights: TestWeights
    private(set) var linears: [WeightReference] = []
    /// `[batch, token, channel]` of 16 or 32 channels.
    private var values: [Value] = []
    private var names = 0

    init(seed: Int, _ format: StorageFormat) {
      random = SeededGenerator(state: UInt64(seed) &* 0x9E37 &+ 11)
      weights = TestWeights(seed: UInt64(seed) &+ 1)
      self.format = format
      g = GraphBuilder("random")
      for (name, width) in [("a", 16), ("b", 32)] {
        values.append(g.input(name, [batch, tokens, width]))
      }
    }

    private mutating func pick() -> Value {
      // The later half, so that the graph is deep.
      values[Int.random(in: values.count / 2..<values.count, using: &random)]
    }

    private mutating func pick(like x: Value) -> Value {
      let alike = values.filter { $0.shape == x.shape }
      return alike[Int.random(in: 0..<alike.count, using: &random)]
    }

    private mutating func name() -> String {
      names += 1
      return "w\(names)"
    }

    private mutating func input(_ shape: Shape) -> Value { g.input(name(), shape) }

    private mutating func vector(_ width: Int) -> WeightReference { weights.add(name(), [width]) }

    /// Rows of about the same size as before, so that errors of many nodes do not grow.
    private mutating func linear(_ x: Value, outputs: Int) -> Value {
      let weight = weights.add(name(), [outputs, x.shape.last], format)
      linears.append(weight)
      smooth(weight)
      let bias = Bool.random(using: &random) ? vector(outputs) : nil
      return g.linear(x, weight, bias: bias)
    }

    /// What inputs of every other weight are multiplied by, and what their zero is.
    private mutating func smooth(_ weight: WeightReference) {
      switch format {
      case .int8, .int4:
        if Bool.random(using: &random) { weights.smooth(weight) }
        if format == .int8, Bool.random(using: &random) {
          weights.setZeroPoint(weight, Int.random(in: -126...0, using: &random))
        }
      default: break
      }
    }

    mutating func step() {
      let x = pick()
      let width = x.shape.last
      switch Int.random(in: 0..<15, using: &random) {
      case 0: values.append(linear(x, outputs: Bool.random(using: &random) ? 16 : 32))
      case 1: values.append(Bool.random(using: &random) ? g.silu(x) : g.gelu(x))
      case 2: values.append(g.add(x, pick(like: x)))
      case 3: values.append(g.multiply(x, input([batch, width])))
      case 4: values.append(g.rmsNorm(x, weight: vector(width), epsilon: 1e-5))
      case 5:
        values.append(
          g.modulatedRMSNorm(
            x, shift: input([batch, width]), scale: input([batch, width]), epsilon: 1e-5))
      case 6:
        let grid = HeadNorm.Grid(height: 4, width: 4, base: 50)
        values.append(
          g.headNorm(x, heads: 2, weight: vector(width / 2), epsilon: 1e-5, grid: grid))
      case 7:
        let segment = GraphBuilder.KeyValueSegment(keys: pick(like: x), values: pick(like: x))
        let queries = g.headNorm(x, heads: 4, weight: nil, epsilon: 1e-5, grid: nil)
        values.append(g.attention(queries, [segment], heads: 4, keyValueHeads: 4))
      case 8:
        // A gated unit with a residual.
        let gate = g.silu(linear(x, outputs: 32))
        let hidden = g.multiply(gate, linear(x, outputs: 32))
        values.append(g.add(x, linear(hidden, outputs: width)))
      case 9:
        let picture = g.reshape(x, [batch, 4, 4, width])
        let weight = weights.add(name(), [width, 3, 3, width], format)
        smooth(weight)
        let y = g.silu(g.convolution(picture, weight))
        values.append(g.reshape(g.add(y, picture), [batch, tokens, width]))
      case 12:
        let y = g.groupNorm(
          x, weight: vector(width), bias: vector(width), groups: 4, epsilon: 1e-5)
        values.append(Bool.random(using: &random) ? g.silu(y) : y)
      case 13:
        let both = g.concatenate([x, g.scale(pick(like: x), by: 0.5)])
        values.append(g.gated(both, by: .gelu))
      case 10 where Bool.random(using: &random):
        let folded = g.fold(g.reshape(x, [batch, 4, 4, width]), patch: 2, overlap: 1)
        values.append(g.reshape(folded, [batch, tokens, width]))
      case 10 where width == 32: values.append(g.slice(x, 8..<24))
      default:
        let picture = g.spaceToDepth(g.reshape(x, [batch, 4, 4, width]), factor: 2)
        let fine = g.depthToSpace(g.silu(picture), factor: 2)
        values.append(g.reshape(fine, [batch, tokens, width]))
      }
    }

    mutating func build(_ name: String) -> Graph {
      // Norms last: outputs are compared as fractions of their size.
      for (index, value) in values.suffix(2).enumerated() {
        g.output("\(name).\(index)", g.rmsNorm(value, epsilon: 1e-5))
      }
      return g.build()
    }
  }
}
