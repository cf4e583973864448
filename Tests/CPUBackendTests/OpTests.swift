import CPUBackend
import Execution
import Foundation
import Graph
import Reference
import TensorTypes
import Testing
import Weights

/// Each op against the naive interpreter.
@Suite struct OpTests {
  @Test(arguments: [
    StorageFormat.float32, .float16, .bfloat16, .int8, .int4(group: 32), .int4(group: 64),
  ])
  func linears(format: StorageFormat) throws {
    for (rows, inputs, outputs) in [(1, 3, 5), (9, 37, 33), (64, 100, 65)] {
      var weights = TestWeights()
      let w = weights.add("w", [outputs, inputs], format)
      let bias = weights.add("b", [outputs], .float16)
      let g = GraphBuilder("linear")
      let x = g.input("x", [1, rows, inputs])
      g.output("plain", g.linear(x, w))
      g.output("biased", g.linear(x, w, bias: bias))
      let store = try weights.store()
      try expectAgreement(g.build(), store)
      try expectAgreement(g.build(), store, .int8)
    }
  }

  @Test(arguments: [StorageFormat.float32, .int8, .int4(group: 32)])
  func linearEpilogues(format: StorageFormat) throws {
    let (batch, tokens, inputs, outputs) = (2, 5, 32, 21)
    var weights = TestWeights()
    let w = weights.add("w", [outputs, inputs], format)
    let bias = weights.add("b", [outputs])
    let g = GraphBuilder("epilogues")
    let x = g.input("x", [batch, tokens, inputs])
    let gates = [
      g.input("full", [batch, tokens, outputs]), g.input("items", [batch, outputs]),
      g.input("row", [outputs]),
    ]
    for (index, gate) in gates.enumerated() {
      for activation in Activation.allCases {
        let gated = g.append(
          .linear(
            Linear(
              weight: w, bias: bias, epilogue: Epilogue(activation: activation, hasGate: true))),
          [x, gate])
        let residual = g.append(
          .linear(
            Linear(
              weight: w, bias: bias,
              epilogue: Epilogue(activation: activation, hasGate: true, hasResidual: true))),
          [x, gate, gates[0]])
        g.output("gated \(index) \(activation)", gated)
        g.output("residual \(index) \(activation)", residual)
      }
    }
    try expectAgreement(g.build(), weights.store())
    try expectAgreement(g.build(), weights.store(), .int8)
  }

  @Test(arguments: [StorageFormat.float32, .int8, .int4(group: 64)])
  func lowRankUpdates(format: StorageFormat) throws {
    let (batch, tokens, inputs, outputs, rank) = (2, 5, 32, 21, 6)
    var weights = TestWeights()
    let w = weights.add("w", [outputs, inputs], format)
    let g = GraphBuilder("updates")
    let x = g.input("x", [batch, tokens, inputs])
    let full = g.input("full", [batch, tokens, outputs])
    let gate = g.input("items", [batch, outputs])
    let inner = g.input("inner", [batch, tokens, rank])
    let up = g.input("up", Matmul.matrixShape(outputs: outputs, inputs: rank))
    for activation in Activation.allCases {
      var epilogue = Epilogue(hasUpdate: true, activation: activation)
      g.output(
        "\(activation)", g.append(.linear(Linear(weight: w, epilogue: epilogue)), [x, inner, up]))
      (epilogue.hasGate, epilogue.hasResidual) = (true, true)
      g.output(
        "\(activation) gated",
        g.append(.linear(Linear(weight: w, epilogue: epilogue)), [x, inner, up, gate, full]))
    }
    try expectAgreement(g.build(), weights.store())
    try expectAgreement(g.build(), weights.store(), .int8)
  }

  @Test func matmuls() throws {
    for (rows, inputs, outputs) in [(1, 1, 1), (9, 37, 8), (64, 16, 65), (5, 8, 16)] {
      let g = GraphBuilder("matmul")
      let x = g.input("x", [2, rows, inputs])
      let matrix = g.input("m", Matmul.matrixShape(outputs: outputs, inputs: inputs))
      g.output("y", g.append(.matmul(Matmul(outputs: outputs)), [x, matrix]))
      try expectAgreement(g.build(), TestWeights().store())
      try expectAgreement(g.build(), TestWeights().store(), .int8)
    }
  }

  @Test(arguments: [
    StorageFormat.float32, .float16, .bfloat16, .int8, .int4(group: 32), .int4(group: 64),
  ])
  func convolutions(format: StorageFormat) throws {
    for (height, width, inputs, outputs, kernel) in [
      (1, 1, 4, 3, 3), (5, 7, 3, 17, 3), (12, 11, 16, 20, 3), (6, 5, 8, 33, 1), (4, 4, 4, 5, 5),
    ] {
      var weights = TestWeights()
      let w = weights.add("w", [outputs, kernel, kernel, inputs], format)
      let bias = weights.add("b", [outputs])
      let g = GraphBuilder("convolution")
      let x = g.input("x", [2, height, width, inputs])
      let residual = g.input("residual", [2, height, width, outputs])
      let plain = g.append(.convolution(Convolution(weight: w)), [x])
      g.output("plain", plain)
      let op = Convolution(
        weight: w, bias: bias, epilogue: Epilogue(activation: .silu, hasResidual: true))
      g.output("residual", g.append(.convolution(op), [x, residual]))
      let store = try weights.store()
      try expectAgreement(g.build(), store)
      try expectAgreement(g.build(), store, .int8)
    }
  }

  /// Every way to walk over a picture, read in place and gathered, at odd and even sizes.
  @Test(arguments: [StorageFormat.float32, .int8, .int4(group: 32)])
  func convolutionsThatChangeTheSize(format: StorageFormat) throws {
    for (height, width, inputs, outputs, kernel) in [
      (3, 2, 4, 3, 3), (5, 8, 3, 17, 3), (12, 11, 16, 20, 3), (6, 5, 8, 33, 1), (7, 9, 4, 5, 5),
    ] {
      var weights = TestWeights()
      let w = weights.add("w", [outputs, kernel, kernel, inputs], format)
      let bias = weights.add("b", [outputs])
      let g = GraphBuilder("convolution")
      let x = g.input("x", [2, height, width, inputs])
      for padding in [Convolution.Padding.allSides, .end] {
        for (stride, upsampling) in [(1, 1), (2, 1), (1, 2), (3, 2)] {
          let op = Convolution(
            weight: w, bias: bias, stride: stride, padding: padding, upsampling: upsampling)
          let plain = g.append(.convolution(op), [x])
          let name = "\(padding) \(stride) \(upsampling)"
          g.output(name, plain)
          var gated = op
          gated.epilogue = Epilogue(activation: .silu, hasGate: true, hasResidual: true)
          let gate = g.input("\(name) gate", [2, outputs])
          g.output("\(name) gated", g.append(.convolution(gated), [x, gate, g.relu(plain)]))
        }
      }
      let store = try weights.store()
      try expectAgreement(g.build(), store)
      try expectAgreement(g.build(), store, .int8)
    }
  }

  @Test func norms() throws {
    for width in [5, 16, 67] {
      var weights = TestWeights()
      let w = weights.add("w", [width])
      let b = weights.add("b", [width])
      let g = GraphBuilder("norms")
      let x = g.input("x", [2, 9, width])
      let (shift, scale) = (g.input("shift", [2, width]), g.input("scale", [2, width]))
      g.output("rms", g.rmsNorm(x, weight: w, epsilon: 1e-6))
      g.output("bare", g.rmsNorm(x, epsilon: 1e-6))
      g.output("modulated", g.modulatedRMSNorm(x, shift: shift, scale: scale, epsilon: 1e-6))
      g.output("layer", g.layerNorm(x, weight: w, bias: b, epsilon: 1e-12))
      let activated = Norm(kind: .rootMeanSquare, epsilon: 1e-6, weight: w, activation: .silu)
      g.output("activated", g.append(.norm(activated), [x]))
      try expectAgreement(g.build(), weights.store())
    }
  }

  @Test func headNorms() throws {
    for (heads, width) in [(1, 4), (3, 16), (2, 20), (2, 64)] {
      var weights = TestWeights()
      let w = weights.add("w", [width])
      let g = GraphBuilder("headNorm")
      let x = g.input("x", [2, 12, heads * width])
      let grid = HeadNorm.Grid(height: 3, width: 4, base: 100)
      g.output("both", g.headNorm(x, heads: heads, weight: w, epsilon: 1e-6, grid: grid))
      g.output("norm", g.headNorm(x, heads: heads, weight: w, epsilon: 1e-6, grid: nil))
      g.output("turn", g.headNorm(x, heads: heads, weight: nil, epsilon: 1e-6, grid: grid))
      g.output("copy", g.headNorm(x, heads: heads, weight: nil, epsilon: 1e-6, grid: nil))
      try expectAgreement(g.build(), weights.store())
    }
  }

  @Test func attention() throws {
    for (queries, text, heads, keyValueHeads, width) in [
      (1, 1, 1, 1, 4), (9, 5, 4, 2, 16), (64, 17, 6, 2, 20), (33, 64, 2, 1, 64),
      (77, 9, 4, 4, 40), (70, 77, 2, 2, 80), (40, 77, 4, 2, 160), (9, 150, 1, 1, 512),
    ] {
      let g = GraphBuilder("attention")
      let q = g.input("q", [2, queries, heads * width])
      let shared = keyValueHeads * width
      let first = GraphBuilder.KeyValueSegment(
        keys: g.input("k0", [2, text, shared]), values: g.input("v0", [2, text, shared]),
        bias: g.input("bias", [2, text]))
      let second = GraphBuilder.KeyValueSegment(
        keys: g.input("k1", [2, queries, shared]), values: g.input("v1", [2, queries, shared]))
      let (h, kv) = (heads, keyValueHeads)
      g.output("both", g.attention(q, [first, second], heads: h, keyValueHeads: kv))
      g.output("one", g.attention(q, [second], heads: h, keyValueHeads: kv))
      let causal = GraphBuilder.KeyValueSegment(
        keys: second.keys, values: second.values, isCausal: true)
      g.output("causal", g.attention(q, [causal], heads: h, keyValueHeads: kv))
      g.output("mixed", g.attention(q, [first, causal], heads: h, keyValueHeads: kv))
      try expectAgreement(g.build(), TestWeights().store())
    }
  }

  /// Beside int8 products, attention may round what it multiplies as well.
  @Test func attentionBesideInt8() throws {
    for (queries, text, heads, keyValueHeads, width) in [
      (9, 5, 4, 2, 16), (150, 17, 6, 2, 20), (77, 77, 2, 2, 40), (9, 150, 1, 1, 512),
    ] {
      let g = GraphBuilder("attention")
      let q = g.input("q", [2, queries, heads * width])
      let shared = keyValueHeads * width
      let text = GraphBuilder.KeyValueSegment(
        keys: g.input("k0", [2, text, shared]), values: g.input("v0", [2, text, shared]),
        bias: g.input("bias", [2, text]))
      let own = GraphBuilder.KeyValueSegment(
        keys: g.input("k1", [2, queries, shared]), values: g.input("v1", [2, queries, shared]),
        isCausal: true)
      g.output("y", g.attention(q, [text, own], heads: heads, keyValueHeads: keyValueHeads))
      // In place, and beside keys that others have packed.
      let other = g.attention(g.relu(q), [own], heads: heads, keyValueHeads: keyValueHeads)
      g.output("z", g.attention(other, [text], heads: heads, keyValueHeads: keyValueHeads))
      let store = try TestWeights().store()
      let exact = try run(g.build(), store, on: ReferenceBackend())
      for level in CPUBackend.Level.available {
        let one = CPUBackend(threadCount: 1, level: level)
        let three = CPUBackend(
          threadCount: 3, level: level, grain: TaskGrain(elements: 32, multiplyAdds: 500))
        let found = try run(g.build(), store, on: one, .int8)
        #expect(normalizedError(found, exact) < 0.01, "\(level), \(queries) of \(width)")
        #expect(try run(g.build(), store, on: three, .int8, runs: 2) == found, "\(level)")
      }
    }
  }

  /// 4,096 tokens of one head of 512 channels, as between the halves of Stable Diffusion's decoder:
  /// what a thread needs does not grow with the tokens.
  @Test func attentionKeepsNoScoresOfAllPairs() throws {
    func threadBytes(tokens: Int) throws -> Int {
      let g = GraphBuilder("middle")
      let x = g.input("x", [1, tokens, 512])
      let segment = GraphBuilder.KeyValueSegment(keys: x, values: x)
      g.output("y", g.attention(x, [segment], heads: 1, keyValueHeads: 1))
      let backend = CPUBackend(threadCount: 1)
      let plan = backend.plan(g.build(), for: try TestWeights().store(), activations: .float32)
      return backend.arenaBytes(of: plan) - plan.arenaBytes
    }
    #expect(try threadBytes(tokens: 4096) == threadBytes(tokens: 16_384))
    #expect(try threadBytes(tokens: 4096) < 1 << 20)
  }

  @Test func elementwise() throws {
    for shape in [[2, 3, 5], [2, 40, 33], [1, 2, 20_000]] {
      let g = GraphBuilder("elementwise")
      let a = g.input("a", Shape(shape))
      let others = [
        g.input("full", Shape(shape)), g.input("items", [shape[0], shape[2]]),
        g.input("row", [shape[2]]),
      ]
      for (index, other) in others.enumerated() {
        g.output("sum \(index)", g.add(a, other))
        g.output("product \(index)", g.multiply(a, other))
      }
      for activation in Activation.allCases {
        g.output("\(activation)", g.append(.activation(activation), [a]))
      }
      g.output("scale", g.scale(a, by: -0.18215))
      g.output("offset", g.scale(a, by: 2, plus: -1))
      g.output("in place", g.scale(g.relu(a), by: 3, plus: 0.5))
      g.output("slice", g.slice(a, 1..<4))
      g.output("reshape", g.silu(g.reshape(a, [shape[0] * shape[1], shape[2]])))
      try expectAgreement(g.build(), TestWeights().store())
    }
  }

  @Test func gatedActivations() throws {
    for shape in [[1, 1, 2], [2, 5, 34], [2, 40, 192]] {
      let g = GraphBuilder("gated")
      let x = g.input("x", Shape(shape))
      for activation in Activation.allCases {
        g.output("\(activation)", g.gated(x, by: activation))
      }
      try expectAgreement(g.build(), TestWeights().store())
    }
  }

  @Test func concatenations() throws {
    for (height, width, channels) in [(1, 1, [3]), (3, 5, [7, 16]), (9, 8, [1, 20, 3, 16])] {
      let g = GraphBuilder("concatenation")
      let parts = channels.enumerated().map { g.input("x\($0)", [2, height, width, $1]) }
      g.output("parts", g.concatenate(parts))
      g.output("twice", g.concatenate([parts[0], parts[0]]))
      try expectAgreement(g.build(), TestWeights().store(), isCopy: true)
    }
  }

  @Test func pixels() throws {
    for factor in [1, 2, 8] {
      let g = GraphBuilder("pixels")
      let coarse = g.input("coarse", [2, 3, 5, 4 * factor * factor])
      let fine = g.input("fine", [2, 4 * factor, 3 * factor, 3])
      g.output("shuffled", g.depthToSpace(coarse, factor: factor))
      g.output("gathered", g.spaceToDepth(fine, factor: factor))
      try expectAgreement(g.build(), TestWeights().store(), isCopy: true)
    }
  }

  @Test func folds() throws {
    for (height, width, channels, patch, overlap) in [
      (4, 4, 1, 4, 2), (4, 12, 3, 4, 1), (24, 16, 4, 8, 4), (64, 32, 4, 32, 16),
    ] {
      let g = GraphBuilder("folds")
      let x = g.input("x", [2, height, width, channels])
      let folded = g.fold(x, patch: patch, overlap: overlap)
      g.output("folded", folded)
      g.output("back", g.unfold(folded, patch: patch, overlap: overlap))
      // In place.
      let other = g.fold(g.silu(x), patch: patch, overlap: overlap)
      g.output("again", g.fold(other, patch: patch, overlap: overlap))
      try expectAgreement(g.build(), TestWeights().store())
      let found = try run(g.build(), TestWeights().store(), on: CPUBackend(threadCount: 1))
      let plain = GraphBuilder("plain")
      let same = plain.input("x", [2, height, width, channels])
      plain.output("x", plain.slice(same, 0..<channels))
      let expected = try run(plain.build(), TestWeights().store(), on: CPUBackend(threadCount: 1))
      #expect(normalizedError([found[1]], expected) < 1e-6, "unfolding does not give x back")
      let isFolded = width > patch || height > patch
      #expect((normalizedError([found[0]], expected) > 0.05) == isFolded)
    }
  }

  /// The numbers of `banana_training.folding`.
  @Test func trainingFoldsTheSame() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/goldens/folding/goldens.safetensors")
    let goldens = try SafetensorsFile(path: path.path)
    func floats(_ name: String) throws -> [Float] {
      Array(try #require(goldens.tensor(named: name)).bytes.bindMemory(to: Float.self))
    }
    let g = GraphBuilder("folding")
    let x = g.input("x", [2, 16, 24, 4])
    g.output("folded", g.fold(x, patch: 8, overlap: 4))
    g.output("narrow", g.fold(x, patch: 8, overlap: 3))
    g.output("unfolded", g.unfold(x, patch: 8, overlap: 4))
    let store = try TestWeights().store()
    for backend in [ReferenceBackend(), CPUBackend(threadCount: 2)] as [any Backend] {
      let plan = backend.plan(g.build(), for: store, activations: .float32)
      let bound = backend.bind(store, activations: .float32)
      let session = try Session(bound.compile(plan, in: backend.makeArena()))
      session.write(try floats("x"), to: "x")
      try session.run()
      for name in ["folded", "narrow", "unfolded"] {
        #expect(normalizedError([session.read(name)], [try floats(name)]) < 1e-6, "\(name)")
      }
    }
  }

  @Test func tokens() throws {
    let g = GraphBuilder("tokens")
    let x = g.input("x", [2, 6, 21])
    let mask = g.input("mask", [2, 6])
    g.output("pooled", g.meanPool(x, mask: mask))
    g.output("waves", g.sinusoidal(g.input("t", [3]), width: 32, scale: 1000))
    try expectAgreement(g.build(), TestWeights().store())
  }

  @Test(arguments: [
    StorageFormat.float32, .float16, .bfloat16, .int8Rows, .int4Rows(group: 32),
  ])
  func tables(format: StorageFormat) throws {
    var weights = TestWeights()
    let table = weights.add("table", [50, 64], format)
    let g = GraphBuilder("tables")
    let embedded = g.embedding(
      g.input("ids", [2, 7], .int32), table, more: g.input("more", [5, 64]))
    g.output("embedded", embedded)
    if format == .float16 {
      g.output("rows", g.add(embedded, g.reshape(embedded, [2, 7, 64])))
      g.output("parameter", g.parameter(table, rows: 3, as: [3, 64]))
    }
    try expectAgreement(g.build(), weights.store(), isCopy: true, ids: 50)
    try expectAgreement(g.build(), weights.store(), isCopy: true, ids: 55)
  }
}
