import CPUBackend
import Execution
import Graph
import Reference
import TensorTypes
import Testing
import Weights

/// Random graphs with weights, before and after each pass and planned in both ways.
@Suite struct PassTests {
  static let seeds = 0..<40

  /// The outputs of a plan on inputs that depend on their names alone.
  private func run(
    _ plan: Plan, _ weights: WeightStore, on backend: any Backend,
    _ activations: ActivationFormat = .float32, _ values: [String: [Float]] = [:], runs: Int = 1
  ) throws -> [[Float]] {
    let bound = backend.bind(weights, activations: activations)
    let session = try Session(bound.compile(plan, in: backend.makeArena()))
    for input in plan.graph.inputs {
      session.write(
        values[input.name] ?? Self.floats(input.value.shape.count, input.name), to: input.name)
    }
    for _ in 0..<runs { try session.run() }
    return plan.graph.outputs.map { session.read($0.name) }
  }

  private static func floats(_ count: Int, _ name: String) -> [Float] {
    var random = SeededGenerator(state: name.utf8.reduce(5) { 131 &* $0 &+ UInt64($1) })
    return (0..<count).map { _ in random.float() }
  }

  /// What is written over too early, or by another thread, shows in the bits.
  @Test(arguments: seeds) func placesThatAreReusedChangeNothing(seed: Int) throws {
    var reused = false
    for format in [StorageFormat.float32, .int8, .int4(group: 32)] {
      let network = RandomNetwork(seed: seed, format)
      let store = try network.weights.store()
      for graph in [network.graph, network.graph.removingDeadNodes().fusingEpilogues()] {
        for activations in ActivationFormat.allCases {
          let backend = CPUBackend(
            threadCount: 3, grain: TaskGrain(elements: 32, multiplyAdds: 500))
          let planned = backend.plan(graph, for: store, activations: activations)
          let plain = Planner.plan(planned.graph, replaces: false) {
            planned.sharedPlaces[$0.result]?.byteCount ?? 0
          }
          reused = reused || planned.places != plain.places
          let expected = try run(plain, store, on: backend, activations)
          #expect(
            try run(planned, store, on: backend, activations, runs: 2) == expected,
            "\(format), \(activations)")
        }
      }
    }
    #expect(reused)
  }

  @Test(arguments: seeds) func fusedGraphsComputeTheSame(seed: Int) throws {
    let network = RandomNetwork(seed: seed)
    let store = try network.weights.store()
    let live = network.graph.removingDeadNodes()
    let fused = live.fusingEpilogues()
    #expect(live.nodes.count <= network.graph.nodes.count)
    #expect(fused.nodes.count <= live.nodes.count)
    let reference = ReferenceBackend()
    func outputs(_ graph: Graph, on backend: any Backend) throws -> [[Float]] {
      try run(backend.plan(graph, for: store, activations: .float32), store, on: backend)
    }
    let expected = try outputs(network.graph, on: reference)
    #expect(try outputs(live, on: reference) == expected)
    let cpu = CPUBackend(threadCount: 2)
    #expect(normalizedError(try outputs(fused, on: reference), expected) < 1e-4)
    for graph in [live, fused] {
      #expect(normalizedError(try outputs(graph, on: cpu), expected) < 1e-4)
    }
  }

  @Test func someGraphsAreFused() {
    let fused = Self.seeds.filter {
      let live = RandomNetwork(seed: $0).graph.removingDeadNodes()
      return live.fusingEpilogues().nodes.count < live.nodes.count
    }
    #expect(fused.count > Self.seeds.count / 2)
  }

  /// The kernels against the same quantized graph written naively.
  @Test(arguments: seeds, [StorageFormat.int8, .int4(group: 32)])
  func quantizedGraphsAreWhatTheReferenceMakesOfThem(seed: Int, format: StorageFormat) throws {
    let network = RandomNetwork(seed: seed, format, nodes: 8)
    let store = try network.weights.store()
    let cpu = CPUBackend(threadCount: 2)
    let graph = network.graph.removingDeadNodes().fusingEpilogues()
    let plan = cpu.plan(graph, for: store, activations: .int8)
    let expected = try run(
      Planner.plan(plan.graph, replaces: false), store, on: ReferenceBackend())
    // A value that lies between two bytes may fall to either.
    let error = normalizedError(try run(plan, store, on: cpu, .int8), expected)
    #expect(error < 0.02, "\(error)")
  }

  /// `up (down x)` beside a weight is the weight plus `up down`.
  @Test(arguments: seeds) func peelsAreWhatMergingThemWouldBe(seed: Int) throws {
    let network = RandomNetwork(seed: seed)
    let live = network.graph.removingDeadNodes()
    let sites = network.linears.filter(live.weights.contains)
    var ranks: [WeightReference: Int] = [:]
    for (index, site) in sites.enumerated() where index % 3 != 2 {
      ranks[site] = index % 2 == 0 ? 8 : 2
    }
    let store = try network.weights.store()
    var merged: [SafetensorsWriter.Tensor] = []
    for tensor in network.weights.tensors {
      guard let site = sites.first(where: { $0.name == tensor.name }), let rank = ranks[site] else {
        merged.append(tensor)
        continue
      }
      var weight = try store.weight(named: site.name, logicalShape: site.shape).dequantized()
      let (outputs, inputs) = (site.shape[0], site.shape[1])
      let down = Self.floats(
        Matmul.matrixShape(outputs: rank, inputs: inputs).count, PeelInput.down(site))
      let up = Self.floats(
        Matmul.matrixShape(outputs: outputs, inputs: rank).count, PeelInput.up(site))
      func element(_ blocks: [Float], _ output: Int, _ input: Int, inputs: Int) -> Double {
        Double(blocks[(output / 16 * inputs + input) * 16 + output % 16])
      }
      for o in 0..<outputs {
        for i in 0..<inputs {
          weight[o * inputs + i] += Float(
            (0..<rank).reduce(0.0) {
              $0 + element(up, o, $1, inputs: rank) * element(down, $1, i, inputs: inputs)
            })
        }
      }
      merged.append(
        .init(
          name: tensor.name, type: .float32, shape: site.shape.dimensions,
          bytes: weight.withUnsafeBytes { Array($0) }))
    }
    let reference = ReferenceBackend()
    let expected = try run(
      Planner.plan(live), try WeightStore(inMemory: merged), on: reference)
    let attached = live.attachingPeels(to: ranks.mapValues { PeelAttachment(rank: $0) })
    for graph in [attached, attached.fusingEpilogues()] {
      for backend in [reference, CPUBackend(threadCount: 2)] as [any Backend] {
        let plan = backend.plan(graph, for: store, activations: .float32)
        let error = normalizedError(try run(plan, store, on: backend), expected)
        #expect(error < 5e-4, "\(error) \(backend.name)")
      }
    }
    if !ranks.isEmpty {
      let plain = try run(Planner.plan(live), store, on: reference)
      #expect(normalizedError(plain, expected) > 5e-3, "nothing changes")
    }
  }
}
