import Graph
import Reference
import TensorTypes
import Testing
import Weights

@testable import Execution

/// Passes change how a network is computed, never what.
@Suite struct FusionTests {
  private static func tensor(_ name: String, _ shape: [Int], seed: UInt64)
    -> SafetensorsWriter.Tensor
  {
    var random = SplitMix64(state: seed)
    let values = (0..<shape.reduce(1, *)).map { _ in
      Float(Int64(random.next() % 2001) - 1000) / 1000
    }
    return SafetensorsWriter.Tensor(
      name: name, type: .float32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
  }

  /// Every epilogue: activation, gate (full, and a row a batch item), residual; norm with
  /// activation.
  private static func network() -> Graph {
    let g = GraphBuilder("network")
    let x = g.input("x", [2, 4, 8])
    let modulation = g.input("modulation", [2, 8])
    let h = g.multiply(
      g.silu(g.linear(x, WeightReference("gate", [12, 8]))),
      g.linear(x, WeightReference("up", [12, 8])))
    let down = g.linear(h, WeightReference("down", [8, 12]), bias: WeightReference("bias", [8]))
    let y = g.add(x, g.multiply(down, modulation))
    let picture = g.reshape(y, [2, 2, 2, 8])
    let c = g.convolution(
      g.silu(g.rmsNorm(picture, weight: WeightReference("norm", [8]), epsilon: 1e-6)),
      WeightReference("conv", [8, 3, 3, 8]))
    g.output("y", g.add(picture, g.gelu(c)))
    return g.build()
  }

  private func outputs(_ graph: Graph) throws -> [Float] {
    let store = try WeightStore(inMemory: [
      Self.tensor("gate", [12, 8], seed: 1), Self.tensor("up", [12, 8], seed: 2),
      Self.tensor("down", [8, 12], seed: 3), Self.tensor("bias", [8], seed: 4),
      Self.tensor("norm", [8], seed: 5), Self.tensor("conv", [8, 3, 3, 8], seed: 6),
    ])
    let weights = ReferenceBackend().bind(store, activations: .float32)
    let session = try Session(weights.compile(Planner.plan(graph), in: HostArena()))
    for (index, input) in graph.inputs.enumerated() {
      var random = SplitMix64(state: UInt64(100 + index))
      session.write(
        (0..<input.value.shape.count).map { _ in Float(Int64(random.next() % 2001) - 1000) / 500 },
        to: input.name)
    }
    try session.run()
    return session.read("y")
  }

  @Test func fusedAndPlainNetworksAgree() throws {
    let plain = Self.network()
    let fused = plain.removingDeadNodes().fusingEpilogues()
    #expect(fused.nodes.count == plain.nodes.count - 7)
    let (a, b) = (try outputs(plain), try outputs(fused))
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(a.contains { abs($0) > 0.1 })
  }
}
