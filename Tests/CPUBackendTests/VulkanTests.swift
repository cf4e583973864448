import Execution
import Foundation
import Graph
import Reference
import TensorTypes
import Testing
import VulkanBackend
import Weights

/// What Vulkan does beside its ops, which `OpTests` compares.
@Suite struct VulkanTests {
  @Test(.enabled(if: VulkanForm.isRequired)) func thereIsADeviceThatIsWatched() {
    #expect(!VulkanForm.all.isEmpty)
    #expect(VulkanForm.isValidated)
  }

  private func session(
    _ graph: Graph, _ store: WeightStore, on backend: VulkanBackend,
    _ activations: ActivationFormat = .float32, in arena: (any Arena)? = nil
  ) throws -> Session {
    let plan = backend.plan(graph, for: store, activations: activations)
    let bound = backend.bind(store, activations: activations)
    return try Session(bound.compile(plan, in: arena ?? backend.makeArena()))
  }

  /// What is written over too early shows in the bits: a barrier is missing.
  @Test(arguments: 0..<10) func placesThatAreReusedChangeNothing(seed: Int) throws {
    for form in VulkanForm.all {
      for format in [StorageFormat.float32, .int8, .int4(group: 32)] {
        let network = RandomNetwork(seed: seed, format)
        let store = try network.weights.store()
        let graph = network.graph.removingDeadNodes().fusingEpilogues()
        let planned = form.backend.plan(graph, for: store, activations: .int8)
        let plain = Planner.plan(planned.graph, replaces: false)
        func outputs(_ plan: Plan, runs: Int) throws -> [[Float]] {
          let bound = form.backend.bind(store, activations: .int8)
          let session = try Session(bound.compile(plan, in: form.backend.makeArena()))
          var random = SeededGenerator(state: UInt64(seed))
          for input in plan.graph.inputs {
            session.write(
              (0..<input.value.shape.count).map { _ in random.float() }, to: input.name)
          }
          for _ in 0..<runs { try session.run() }
          return plan.graph.outputs.map { session.read($0.name) }
        }
        #expect(
          try outputs(planned, runs: 2) == outputs(plain, runs: 1), "\(form.name), \(format)")
      }
    }
  }

  @Test(arguments: ActivationFormat.allCases)
  func tenRunsGiveTheSameBits(activations: ActivationFormat) throws {
    let network = RandomNetwork(seed: 3, .int8)
    let store = try network.weights.store()
    var all: Set<[[Float]]> = []
    for form in VulkanForm.all {
      for runs in 1...10 {
        all.insert(
          try run(network.graph, store, on: form.backend, activations, runs: runs))
      }
    }
    // The forms too: dot products are exact, and copies copy.
    #expect(all.count <= 1)
  }

  @Test func memoryIsKnownBeforeARun() throws {
    let network = RandomNetwork(seed: 5, .int8)
    let store = try network.weights.store()
    let graph = network.graph
    for form in VulkanForm.all {
      let backend = form.backend
      let told = backend.boundBytes(of: [graph, graph], in: store, activations: .int8)
      let plan = backend.plan(graph, for: store, activations: .int8)
      let bound = backend.bind(store, activations: .int8)
      let arena = backend.makeArena()
      let executable = try bound.compile(plan, in: arena)
      #expect(arena.byteCount == 0)
      try executable.run()
      #expect(arena.byteCount == backend.arenaBytes(of: plan))
      #expect(executable.residentBytes == backend.sessionBytes(of: plan))
      #expect(bound.residentBytes == told, "\(form.name)")
    }
  }

  /// Sessions share an arena that grows and is given back: what was recorded is recorded again.
  @Test func anArenaGrowsAndIsGivenBack() throws {
    func graph(_ count: Int) -> Graph {
      let g = GraphBuilder("grown")
      let x = g.input("x", [1, count])
      g.output("y", g.scale(g.tanh(g.scale(x, by: 2)), by: 0.5))
      return g.build()
    }
    let store = try TestWeights().store()
    for form in VulkanForm.all {
      let arena = form.backend.makeArena()
      let small = try session(graph(8), store, on: form.backend, in: arena)
      let large = try session(graph(40_000), store, on: form.backend, in: arena)
      small.write(Array(repeating: 0.25, count: 8), to: "x")
      large.write(Array(repeating: -0.25, count: 40_000), to: "x")
      for _ in 0..<2 {
        try small.run()
        let first = small.read("y")
        #expect(abs(first[7] - 0.231_058_6) < 1e-6)
        try large.run()
        #expect(large.read("y").allSatisfy { $0 == -first[0] })
        try small.run()
        #expect(small.read("y") == first)
        arena.release()
        #expect(arena.byteCount == 0)
      }
      #expect(form.complaints.count == 0, "\(form.complaints.first)")
    }
  }

  /// Inputs keep what they hold over runs, and another peel is nothing but another input.
  @Test func whatIsWrittenBetweenRunsIsWhatTheNextOneReads() throws {
    let g = GraphBuilder("inputs")
    let (a, b) = (g.input("a", [1, 300]), g.input("b", [1, 300]))
    g.output("sum", g.add(a, b))
    g.output("a", a)
    let store = try TestWeights().store()
    for form in VulkanForm.all {
      let session = try session(g.build(), store, on: form.backend)
      try session.run()
      #expect(session.read("sum").allSatisfy { $0 == 0 }, "what nobody writes is zero")
      session.write(Array(repeating: 1, count: 300), to: "a")
      session.write(Array(repeating: 2, count: 300), to: "b")
      try session.run()
      session.write(Array(repeating: 5, count: 10), to: "b", at: 290)
      try session.run()
      #expect(
        session.read("sum") == Array(repeating: 3, count: 290) + Array(repeating: 6, count: 10))
      #expect(session.read("a").allSatisfy { $0 == 1 })
    }
  }

  /// A shader that sees little of a buffer has its weights in parts.
  @Test(arguments: [StorageFormat.float32, .float16, .int8, .int4(group: 32)])
  func largeWeightsAreSplit(format: StorageFormat) throws {
    guard let whole = VulkanForm.all.last else { return }
    var weights = TestWeights()
    let w = weights.add("w", [200, 96], format)
    let kernel = weights.add("k", [70, 3, 3, 32], format)
    let isPlain = format == .float32 || format == .float16
    let table = weights.add("t", [300, 64], isPlain ? format : .int8Rows)
    let bias = weights.add("b", [200])
    let g = GraphBuilder("split")
    let gate = g.input("gate", [1, 200])
    g.output(
      "linear",
      g.multiply(g.linear(g.input("x", [1, 9, 96]), w, bias: bias), gate))
    g.output("convolution", g.convolution(g.input("p", [1, 4, 4, 32]), kernel))
    g.output("table", g.embedding(g.input("ids", [1, 20], .int32), table))
    let graph = g.build().fusingEpilogues()
    let store = try weights.store()
    var form = whole.backend.device.form
    form.bufferRangeBytes = 9 << 10
    let small = try #require(VulkanForm.make("small", form)).backend
    for activations in ActivationFormat.allCases {
      let plan = small.plan(graph, for: store, activations: activations)
      let bound = small.bind(store, activations: activations)
      _ = try bound.compile(plan, in: small.makeArena())
      #expect(
        bound.residentBytes == small.boundBytes(of: [graph], in: store, activations: activations))
      let expected = try run(graph, store, on: whole.backend, activations, ids: 300)
      #expect(try run(graph, store, on: small, activations, ids: 300) == expected)
    }
    #expect(whole.complaints.count == 0, "\(whole.complaints.first)")
  }

  @Test func whatAShaderCannotDoIsAnErrorThatNamesTheOp() throws {
    guard let form = VulkanForm.all.first else { return }
    func error(_ graph: Graph, on backend: VulkanBackend) throws -> ExecutionError? {
      #expect(throws: ExecutionError.self) {
        _ = try session(graph, TestWeights().store(), on: backend)
      }
    }
    let g = GraphBuilder("three")
    let x = g.input("x", [1, 4, 8])
    let segment = GraphBuilder.KeyValueSegment(keys: x, values: x)
    g.output(
      "y", g.attention(x, [segment, segment, segment], heads: 1, keyValueHeads: 1))
    guard case .unsupported("attention", _) = try error(g.build(), on: form.backend) else {
      Issue.record("three segments are taken")
      return
    }
    var narrow = form.backend.device.form
    narrow.bufferRangeBytes = 4096
    let small = try #require(VulkanForm.make("narrow", narrow)).backend
    let wide = GraphBuilder("wide")
    wide.output("y", wide.silu(wide.input("x", [1, 4096])))
    guard case .unsupported(let op, _) = try error(wide.build(), on: small) else {
      Issue.record("a value that no shader sees is taken")
      return
    }
    #expect(op == "activation.silu")
  }

  @Test func aProfileCountsEveryKindOfStep() throws {
    guard let form = VulkanForm.all.first else { return }
    let g = GraphBuilder("profile")
    let x = g.input("x", [1, 4, 16])
    g.output("y", g.add(g.silu(x), g.silu(g.scale(x, by: 2))))
    let times = try session(g.build(), TestWeights().store(), on: form.backend).profile()
    #expect(times.map(\.name) == ["activation.silu", "scale", "add"])
    #expect(times.map(\.count) == [2, 1, 1])
    #expect(times.allSatisfy { $0.seconds > 0 })
  }
}
