import CKernelsChecks
import CPUBackend
import Execution
import Graph
import TensorTypes
import Testing
import Weights

/// A transformer block, a residual convolution block and an embedding in one graph.
private func smallNetwork(_ format: StorageFormat) throws -> (Graph, WeightStore) {
  let (width, hidden, tokens) = (64, 96, 16)
  var weights = TestWeights()
  let g = GraphBuilder("small")
  let table = weights.add("table", [10, width], .int8Rows)
  let x = g.embedding(g.input("ids", [2, tokens], .int32), table)
  let modulation = g.split(
    g.linear(g.input("condition", [2, width]), weights.add("m", [3 * width, width], format)),
    into: 3)
  var h = g.modulatedRMSNorm(x, shift: modulation[0], scale: modulation[1], epsilon: 1e-6)
  let qkv = g.linear(h, weights.add("qkv", [width * 2, width], format))
  let grid = HeadNorm.Grid(height: 4, width: 4, base: 100)
  let norm = weights.add("norm", [16])
  let q = g.headNorm(g.slice(qkv, 0..<64), heads: 4, weight: norm, epsilon: 1e-6, grid: grid)
  let k = g.headNorm(g.slice(qkv, 64..<96), heads: 2, weight: norm, epsilon: 1e-6, grid: grid)
  let segment = GraphBuilder.KeyValueSegment(keys: k, values: g.slice(qkv, 96..<128))
  h = g.attention(q, [segment], heads: 4, keyValueHeads: 2)
  h = g.linear(h, weights.add("out", [width, width], format))
  var y = g.add(x, g.multiply(h, modulation[2]))
  let gate = g.silu(g.linear(y, weights.add("gate", [hidden, width], format)))
  h = g.multiply(gate, g.linear(y, weights.add("up", [hidden, width], format)))
  y = g.add(y, g.linear(h, weights.add("down", [width, hidden], format)))
  let picture = g.depthToSpace(g.reshape(y, [2, 4, 4, width]), factor: 4)
  let convolved = g.convolution(picture, weights.add("conv", [8, 3, 3, 4], format))
  g.output("picture", g.spaceToDepth(g.silu(convolved), factor: 2))
  return (g.build().fusingEpilogues(), try weights.store())
}

@Suite struct RunTests {
  static let formats: [StorageFormat] = [.float32, .int8, .int4(group: 32)]

  @Test(arguments: formats, ActivationFormat.allCases)
  func aNetworkAgreesWithTheReference(
    format: StorageFormat, activations: ActivationFormat
  ) throws {
    let (graph, weights) = try smallNetwork(format)
    try expectAgreement(graph, weights, activations, ids: 10)
  }

  @Test(arguments: ActivationFormat.allCases)
  func bitsDoNotDependOnRunsOrThreads(activations: ActivationFormat) throws {
    let (graph, weights) = try smallNetwork(.int8)
    let expected = try run(graph, weights, on: CPUBackend(threadCount: 1), activations, ids: 10)
    for threads in 1...3 {
      let backend = CPUBackend(threadCount: threads)
      let again = try run(graph, weights, on: backend, activations, ids: 10, runs: 10)
      #expect(again == expected, "\(threads) threads")
      backend.limitThreads(to: 1)
      #expect(try run(graph, weights, on: backend, activations, ids: 10) == expected)
    }
  }

  @Test func memoryIsKnownBeforeARun() throws {
    let (graph, weights) = try smallNetwork(.int8)
    var residentBytes: [ActivationFormat: Int] = [:]
    for activations in ActivationFormat.allCases {
      let backend = CPUBackend(threadCount: 2)
      let told = backend.boundBytes(of: [graph, graph], in: weights, activations: activations)
      let plan = backend.plan(graph, for: weights, activations: activations)
      #expect(backend.peakBytes(of: plan) > plan.arenaBytes)
      let bound = backend.bind(weights, activations: activations)
      let arena = backend.makeArena()
      let executable = try bound.compile(plan, in: arena)
      #expect(arena.byteCount == 0)
      try executable.run()
      #expect(arena.byteCount == backend.arenaBytes(of: plan))
      #expect(executable.residentBytes == backend.sessionBytes(of: plan))
      // Tables of rotary embeddings are held too, and alike ones once.
      #expect(executable.residentBytes == plan.inputBytes + 4 * 16 * 16)
      #expect(bound.residentBytes == told, "\(activations)")
      residentBytes[activations] = told
    }
    // Quantized weights stay in the mapping: what is kept beside it is small.
    #expect(residentBytes[.int8]! < graph.weights.reduce(0) { $0 + $1.shape.count })
    #expect(residentBytes[.float32]! > residentBytes[.int8]!)
  }

  @Test func aMissingWeightIsAnError() throws {
    let g = GraphBuilder("missing")
    g.output("y", g.linear(g.input("x", [1, 1, 4]), WeightReference("w", [3, 4])))
    let (backend, store) = (CPUBackend(threadCount: 1), try TestWeights().store())
    let plan = backend.plan(g.build(), for: store, activations: .int8)
    let bound = backend.bind(store, activations: .int8)
    #expect(throws: ExecutionError.self) { _ = try bound.compile(plan, in: backend.makeArena()) }
  }

  @Test func theNameSaysTheLevelAndTheThreads() {
    #expect(CPUBackend(threadCount: 1, level: .portable).name == "cpu (portable, 1 thread)")
    #expect(CPUBackend(threadCount: 2).name.hasSuffix(", 2 threads)"))
  }

  #if canImport(Glibc)
    @Test(.enabled(if: banana_counts_allocations()), arguments: [true, false])
    func nothingIsAllocatedByARun(isQuantized: Bool) async {
      // Alone in a process, so that every allocation is the run's.
      await #expect(processExitsWith: .success) { [isQuantized] in
        let (graph, weights) = try smallNetwork(.int8)
        let backend = CPUBackend(threadCount: 2)
        let activations: ActivationFormat = isQuantized ? .int8 : .float32
        let bound = backend.bind(weights, activations: activations)
        let plan = backend.plan(graph, for: weights, activations: activations)
        let session = try Session(bound.compile(plan, in: backend.makeArena()))
        try session.run()
        let before = banana_allocation_count()
        for _ in 0..<20 { try session.run() }
        precondition(before > 0, "allocations are not counted")
        precondition(banana_allocation_count() == before, "a run allocates")
      }
    }
  #endif
}
