import Execution
import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Numbers that an op needs and that are known when its plan is compiled: in f64 on the host, and
/// once for all nodes that need the same.
enum ConstantTable: Hashable {
  /// What rotary embeddings turn heads of so many channels by.
  case angles(HeadNorm.Grid, headWidth: Int)
  /// Cosines, then sines, by distance from a border.
  case turns(Fold)
  case frequencies(Sinusoidal)

  /// The one that a node needs, if it does.
  init?(_ node: Node) {
    switch node.op {
    case .headNorm(let op):
      guard let grid = op.grid else { return nil }
      self = .angles(grid, headWidth: node.result.shape.last / op.heads)
    case .fold(let op): self = .turns(op)
    case .sinusoidal(let op): self = .frequencies(op)
    case .parameter, .embedding, .linear, .matmul, .convolution, .patchSum, .norm, .groupNorm,
      .attention, .activation, .gatedActivation, .binary, .scale, .slice, .concatenation,
      .meanPool, .depthToSpace, .spaceToDepth, .reshape, .quantize:
      return nil
    }
  }

  var count: Int {
    switch self {
    case .angles(let grid, let headWidth): grid.height * grid.width * headWidth
    case .turns(let op): 2 * op.overlap
    case .frequencies(let op): op.width / 2
    }
  }

  var elements: [Float] {
    switch self {
    case .angles(let grid, let headWidth): grid.angles(headWidth: headWidth)
    case .turns(let op):
      (0..<op.overlap).map { Float(cos(op.angle($0))) }
        + (0..<op.overlap).map { Float(sin(op.angle($0))) }
    case .frequencies(let op): op.frequencies.map { Float($0) }
    }
  }

  /// What a plan needs, in order of first use, each once.
  static func tables(of plan: Plan) -> [ConstantTable] {
    var seen = Set<ConstantTable>()
    return plan.graph.nodes.compactMap(ConstantTable.init).filter { seen.insert($0).inserted }
  }
}
