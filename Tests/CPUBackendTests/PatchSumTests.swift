import CPUBackend
import Execution
import Graph
import Reference
import TensorTypes
import Testing
import Weights

/// Convolutions of few outputs as products and sums of patches, and what peels make of them.
@Suite struct PatchSumTests {
  /// Every way to walk over a picture.
  private static let walks: [(stride: Int, padding: Convolution.Padding, upsampling: Int)] = [
    (1, .allSides, 1), (2, .allSides, 1), (2, .end, 1), (1, .allSides, 2), (3, .end, 2),
  ]

  @Test func patchSums() throws {
    for (height, width, channels, kernel) in [
      (2, 2, 3, 3), (3, 2, 1, 3), (5, 8, 16, 3), (12, 11, 8, 5), (6, 5, 17, 1),
    ] {
      let g = GraphBuilder("sums")
      let x = g.input("x", [2, height, width, kernel * kernel * channels])
      for (index, walk) in Self.walks.enumerated() {
        let op = Convolution(
          weight: WeightReference("w", [1, kernel, kernel, 1]), stride: walk.stride,
          padding: walk.padding, upsampling: walk.upsampling)
        g.output("\(index)", g.append(.patchSum(PatchSum(of: op)), [x]))
      }
      try expectAgreement(g.build(), TestWeights().store())
    }
  }

  /// A low-rank update beside a convolution is what merging it into the weight would be.
  @Test(arguments: [StorageFormat.float32, .int8, .int4(group: 32)])
  func updatesOfConvolutionsAreWhatMergingThemWouldBe(format: StorageFormat) throws {
    let (inputs, outputs, rank) = (8, 19, 4)
    for walk in Self.walks {
      var weights = TestWeights()
      let w = weights.add("w", [outputs, 3, 3, inputs], format)
      let bias = weights.add("b", [outputs])
      let g = GraphBuilder("convolution")
      let x = g.input("x", [2, 6, 7, inputs])
      let op = Convolution(
        weight: w, bias: bias, stride: walk.stride, padding: walk.padding,
        upsampling: walk.upsampling)
      let y = g.append(.convolution(op), [x])
      g.output("y", g.add(g.silu(y), g.relu(y)))
      let plain = g.build()
      let attachment = PeelAttachment(rank: rank)
      let attached = plain.attachingPeels(to: [w: attachment]).fusingEpilogues()
      let store = try weights.store()

      let down = numbers(9 * rank * inputs, seed: 1)
      let up = numbers(outputs * rank, seed: 2)
      var merged = try store.weight(named: "w", logicalShape: w.shape).dequantized()
      for o in 0..<outputs {
        for place in 0..<9 {
          for i in 0..<inputs {
            for r in 0..<rank {
              merged[(o * 9 + place) * inputs + i] +=
                up[o * rank + r] * down[(place * rank + r) * inputs + i]
            }
          }
        }
      }
      let biases = try store.weight(named: "b", logicalShape: bias.shape).dequantized()
      let changed = try WeightStore(inMemory: [
        tensor("w", w.shape, merged), tensor("b", bias.shape, biases),
      ])
      let picture = numbers(x.shape.count, seed: 3)
      let expected = try run(plain, changed, ReferenceBackend(), ["x": picture])
      let given = [
        "x": picture, PeelInput.down(w): blocks(down, rows: 9 * rank, columns: inputs),
        PeelInput.up(w): blocks(up, rows: outputs, columns: rank),
      ]
      for backend in [ReferenceBackend(), CPUBackend(threadCount: 2)] as [any Backend] {
        let found = try run(attached, store, backend, given)
        #expect(normalizedError(found, expected) < 1e-4, "\(walk) \(backend.name)")
      }
      let unchanged = try run(plain, store, ReferenceBackend(), ["x": picture])
      #expect(normalizedError(unchanged, expected) > 0.05, "nothing changes")
      // Integers round what is multiplied, and the update not at all.
      let integers = try run(attached, store, CPUBackend(threadCount: 2), given, .int8)
      #expect(normalizedError(integers, expected) < 0.05, "\(walk)")
    }
  }

  private func numbers(_ count: Int, seed: Int) -> [Float] {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int32(truncatingIfNeeded: state >> 32)) / Float(Int32.max)
    }
  }

  private func blocks(_ matrix: [Float], rows: Int, columns: Int) -> [Float] {
    var blocks = Array(
      repeating: Float(0), count: Matmul.matrixShape(outputs: rows, inputs: columns).count)
    for row in 0..<rows {
      for column in 0..<columns {
        blocks[(row / 16 * columns + column) * 16 + row % 16] = matrix[row * columns + column]
      }
    }
    return blocks
  }

  private func tensor(_ name: String, _ shape: Shape, _ values: [Float])
    -> SafetensorsWriter.Tensor
  {
    .init(
      name: name, type: .float32, shape: shape.dimensions,
      bytes: values.withUnsafeBytes { Array($0) })
  }

  private func run(
    _ graph: Graph, _ store: WeightStore, _ backend: any Backend, _ given: [String: [Float]],
    _ activations: ActivationFormat = .float32
  ) throws -> [Float] {
    let plan = backend.plan(graph, for: store, activations: activations)
    let bound = backend.bind(store, activations: activations)
    let session = try Session(bound.compile(plan, in: backend.makeArena()))
    for (name, values) in given { session.write(values, to: name) }
    try session.run()
    return session.read("y")
  }
}
