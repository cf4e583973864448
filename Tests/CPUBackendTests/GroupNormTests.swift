import CPUBackend
import Execution
import Graph
import Reference
import TensorTypes
import Testing
import Weights

@Suite struct GroupNormTests {
  /// The larger ones are summed in several parts and blocks.
  @Test(arguments: [
    ([2, 1, 1, 4], 4), ([2, 3, 5, 20], 5), ([1, 7, 67], 1), ([3, 12, 11, 30], 3),
    ([2, 31, 37, 64], 32), ([1, 5, 3, 2560], 32),
  ])
  func agreeWithTheNaiveForm(shape: [Int], groups: Int) throws {
    var weights = TestWeights()
    let (w, b) = (weights.add("w", [shape.last!]), weights.add("b", [shape.last!]))
    let g = GraphBuilder("group norms")
    let x = g.input("x", Shape(shape))
    g.output("plain", g.groupNorm(x, groups: groups, epsilon: 1e-5))
    g.output("affine", g.groupNorm(x, weight: w, bias: b, groups: groups, epsilon: 1e-6))
    let op = GroupNorm(groups: groups, epsilon: 1e-5, weight: w, bias: b, activation: .silu)
    g.output("activated", g.append(.groupNorm(op), [x]))
    g.output("in place", g.append(.groupNorm(op), [g.relu(x)]))
    try expectAgreement(g.build(), weights.store())
  }

  /// Pictures of one colour, nearly: the mean is 3000 deviations away from 0.
  @Test func meansFarFromZeroCostNothing() throws {
    let g = GraphBuilder("far")
    let x = g.input("x", [1, 40, 41, 32])
    let far = g.add(g.scale(x, by: 0.01), g.parameter(WeightReference("far", [32]), as: [32]))
    g.output("far", g.groupNorm(far, groups: 8, epsilon: 1e-12))
    let bytes = (0..<32).flatMap { withUnsafeBytes(of: Float(20 + $0 % 3).bitPattern, Array.init) }
    let store = try WeightStore(
      inMemory: [.init(name: "far", type: .float32, shape: [32], bytes: bytes)])
    try expectAgreement(g.build(), store)
    let found = try run(g.build(), store, on: CPUBackend(threadCount: 2))
    let exact = try run(g.build(), store, on: ReferenceBackend())
    #expect(normalizedError(found, exact) < 1e-5)
  }

  @Test func quantizedForTheProductBehindIt() throws {
    for format in [StorageFormat.int8, .int4(group: 32)] {
      var weights = TestWeights()
      let (w, b) = (weights.add("w", [32]), weights.add("b", [32]))
      let convolution = weights.add("c", [20, 3, 3, 32], format)
      let g = GraphBuilder("quantized")
      let x = g.input("x", [2, 6, 7, 32])
      let y = g.silu(g.groupNorm(x, weight: w, bias: b, groups: 8, epsilon: 1e-5))
      g.output("y", g.convolution(y, convolution))
      let graph = g.build().fusingEpilogues()
      #expect(graph.nodes.map(\.op.payload.name) == ["groupNorm", "convolution"])
      try expectAgreement(graph, weights.store(), .int8)
    }
  }
}
