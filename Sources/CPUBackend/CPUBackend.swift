import CKernels
package import Execution
package import Graph
package import TensorTypes
package import Weights

/// Runs plans on the processor with the kernels of the best instruction set that it has.
package final class CPUBackend: Backend {
  /// An instruction set that has kernels of its own.
  package enum Level: Int, Sendable, CaseIterable {
    case portable, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm, avx512bf16

    /// The levels that this processor can run.
    package static var available: [Level] { allCases.filter { banana_level_available($0.code) } }
    package static var best: Level {
      Level(rawValue: Int(banana_level_best().rawValue)) ?? .portable
    }

    var code: banana_level { banana_level(rawValue: UInt32(rawValue)) }
  }

  package let level: Level
  /// A constant table in C.
  nonisolated(unsafe) let kernels: UnsafePointer<banana_kernels>
  let pool: WorkerPool
  let grain: TaskGrain

  /// - Parameters:
  ///   - threadCount: Threads that compute, the caller's included.
  ///   - level: The best if nil.
  ///   - grain: How finely work is cut; nothing depends on it but time.
  /// - Precondition: The processor has the level.
  package init(threadCount: Int, level: Level? = nil, grain: TaskGrain = TaskGrain()) {
    self.grain = grain
    self.level = level ?? .best
    guard let kernels = banana_kernels_for(self.level.code) else {
      preconditionFailure("this processor cannot run \(self.level)")
    }
    self.kernels = kernels
    pool = WorkerPool(threadCount: threadCount)
  }

  package var threadCount: Int { pool.threadCount }

  package var name: String {
    let threads = threadCount == 1 ? "1 thread" : "\(threadCount) threads"
    return "cpu (\(String(cString: kernels.pointee.name)), \(threads))"
  }

  /// Lets only the first `count` threads compute from the next step on. Any thread may call it.
  package func limitThreads(to count: Int) { pool.limitThreads(to: count) }

  /// Quantizes what is multiplied with integers, and gives every value a place.
  package func plan(
    _ graph: Graph, for weights: WeightStore, activations: ActivationFormat
  ) -> Plan {
    guard activations == .int8 else { return Planner.plan(graph) { $0.sharedBytes } }
    var smoothings = Smoothings(weights)
    let quantizing = graph.quantizingOperands { op in
      switch op {
      case .linear(let op):
        op.quantization(
          for: weights.quantization(of: op.weight.name), smoothing: smoothings[op.weight],
          zeroPoint: weights.zeroPoint(of: op.weight.name))
      case .convolution(let op):
        op.quantization(
          for: weights.quantization(of: op.weight.name), smoothing: smoothings[op.weight],
          zeroPoint: weights.zeroPoint(of: op.weight.name))
      default: nil
      }
    }
    return Planner.plan(quantizing) { $0.sharedBytes + packedBytes(of: $0) }
  }

  /// What a node multiplies in a narrower type than f32 where the processor has one, packed for all
  /// threads.
  private func packedBytes(of node: Node) -> Int {
    guard kernels.pointee.attention_bf16 != nil, case .attention(let op) = node.op else { return 0 }
    return op.packedBytes(node)
  }

  package func sessionBytes(of plan: Plan) -> Int {
    var tables = Set<AngleTable>()
    for node in plan.graph.nodes {
      if case .headNorm(let op) = node.op, let angles = op.angles(over: node.result.shape) {
        tables.insert(angles)
      }
    }
    return plan.inputBytes + tables.reduce(0) { $0 + $1.byteCount }
  }

  package func arenaBytes(of plan: Plan) -> Int {
    plan.arenaBytes + threadCount * Self.workerBytes(of: plan)
  }

  package func makeArena() -> any Arena { HostArena() }

  /// What each thread needs of its own: the most that a node needs, for they share it.
  static func workerBytes(of plan: Plan) -> Int {
    plan.graph.nodes.reduce(0) { max($0, $1.workerBytes(in: plan)) }
  }

  package func boundBytes(
    of graphs: [Graph], in weights: WeightStore, activations: ActivationFormat
  ) -> Int {
    var bytes: [String: Int] = [:]
    func matrix(_ weight: WeightReference, _ quantize: Quantize?) {
      guard activations == .int8, let quantize else {
        bytes["\(weight.name) packed"] = weight.packedBytes
        return
      }
      bytes["\(weight.name) initial"] = quantize.group == nil ? weight.initialBytes : 0
    }
    for node in graphs.flatMap(\.nodes) {
      var vectors = node.op.payload.weights
      switch node.op {
      case .linear(let op):
        matrix(
          vectors.removeFirst(), op.quantization(for: weights.quantization(of: op.weight.name)))
      case .convolution(let op):
        matrix(
          vectors.removeFirst(), op.quantization(for: weights.quantization(of: op.weight.name)))
      case .embedding: vectors = []
      case .parameter, .sinusoidal, .matmul, .norm, .groupNorm, .headNorm, .attention, .activation,
        .gatedActivation, .binary, .scale, .slice, .concatenation, .meanPool, .depthToSpace,
        .spaceToDepth, .fold, .reshape, .quantize, .patchSum:
        break
      }
      for vector in vectors { bytes[vector.name] = vector.vectorBytes }
    }
    return bytes.values.reduce(0, +)
  }

  package func bind(
    _ weights: WeightStore, activations: ActivationFormat
  ) -> any BoundWeights {
    CPUWeights(weights, activations: activations, backend: self)
  }

  /// What all threads together do at best, measured with multiply-adds in registers only.
  /// - Returns: Operations a second (a multiply-add counts 2) on int8 and on f32.
  package func measurePeak() -> (int8: Double, float32: Double) {
    let level = level.code
    return (
      int8: bestRate {
        var sink: Int32 = 3
        return banana_peak_int8(level, 200_000, &sink)
      },
      float32: bestRate {
        var sink: Float = 0.5
        return banana_peak_f32(level, 200_000, &sink)
      }
    )
  }

  /// The best of several rounds on the pool. A round is cut into many pieces, so that a thread that
  /// starts late only does fewer of them.
  private func bestRate(_ operations: @escaping () -> Double) -> Double {
    let clock = ContinuousClock()
    let round = PeakStep(operations, pieces: 16 * threadCount)
    // It works in registers.
    let nowhere = HostBuffer(byteCount: 64)
    guard let base = nowhere.bytes.baseAddress else { return 0 }
    let memory = Memory(inputs: base, arena: base, workers: base, workerBytes: 0)
    let count = operations() * Double(round.taskCount)
    return (0..<7).map { _ in
      let start = clock.now
      pool.run(round, in: memory)
      return count / (start.duration(to: clock.now) / .seconds(1))
    }.max() ?? 0
  }
}

/// What the inputs of weights are multiplied by before they are rounded: equal ones have one name,
/// so that what several products read is rounded once.
private struct Smoothings {
  private let weights: WeightStore
  private var names: [[UInt8]: WeightReference] = [:]

  init(_ weights: WeightStore) { self.weights = weights }

  subscript(weight: WeightReference) -> WeightReference? {
    mutating get {
      guard let bytes = weights.smoothing(of: weight.name) else { return nil }
      let own = WeightReference(WeightStore.smoothingName(weight.name), [weight.shape.last])
      let contents = Array(bytes)
      if let other = names[contents] { return other }
      names[contents] = own
      return own
    }
  }
}

private final class PeakStep: Step {
  private let operations: () -> Double

  init(_ operations: @escaping () -> Double, pieces: Int) {
    self.operations = operations
    super.init("peak", taskCount: pieces)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) { _ = operations() }
}
