import CPUBackend
import Execution
import Foundation
import Graph
import Reference
import TensorTypes
import Testing
import Weights

/// int8 activations against the same arithmetic written naively: what is left is f32 rounding.
@Suite struct QuantizationTests {
  /// Quantizes as the formats say, less the zero point: ties to even, with the least scale that
  /// keeps what is above zero within 127 - zero, and what is below within 127 + zero.
  static func quantize(_ x: [Float], zero: Int = 0) -> (q: [Double], scale: Float) {
    let (above, below) = (127 / Float(127 - zero), 127 / Float(127 + zero))
    let extent = x.reduce(0) { max($0, $1 * above, -$1 * below) }
    guard extent > 0 else { return (x.map { _ in 0 }, 1) }
    let inverse = 127 / extent
    let q = x.map {
      let rounded = ($0 * inverse).rounded(.toNearestOrEven)
      return max(-127 - Float(zero), min(127 - Float(zero), rounded))
    }
    #expect(zip(q, x).allSatisfy { abs($0 / inverse - $1) <= 0.501 / inverse })
    return (q.map(Double.init), extent / 127)
  }

  private static let forms: [(format: StorageFormat, smooth: Bool, zero: Int)] = [
    (.int8, false, 0), (.int8, true, 0), (.int8, false, -126), (.int8, true, -80),
    (.int4(group: 32), false, 0), (.int4(group: 32), true, 0),
  ]

  /// What inputs are multiplied by before they are rounded, and the weights without it.
  private static func smoothing(
    _ w: WeightReference, _ store: WeightStore
  ) throws -> (factors: [Float], stored: [Double]) {
    let weight = try store.weight(named: w.name, logicalShape: w.shape)
    let factors =
      weight.smoothing.map(Array.init) ?? Array(repeating: Float(1), count: w.shape.last)
    let stored = weight.dequantized().enumerated().map {
      Double($1) / Double(factors[$0 % factors.count])
    }
    return (factors, stored)
  }

  @Test(arguments: forms)
  func linearsQuantizePerToken(format: StorageFormat, smooth: Bool, zero: Int) throws {
    let (rows, inputs, outputs) = (7, 70, 19)
    var weights = TestWeights()
    let w = weights.add("w", [outputs, inputs], format)
    if smooth { weights.smooth(w) }
    if zero != 0 { weights.setZeroPoint(w, zero) }
    let g = GraphBuilder("linear")
    let x = g.input("x", [1, rows, inputs])
    // The input comes back exactly, so that the test can quantize it too.
    g.output("x", g.depthToSpace(g.reshape(x, [1, rows, inputs, 1]), factor: 1))
    g.output("y", g.linear(x, w))
    let store = try weights.store()
    let (factors, dense) = try Self.smoothing(w, store)
    for level in CPUBackend.Level.available {
      let outputsFound = try run(
        g.build(), store, on: CPUBackend(threadCount: 1, level: level), .int8)
      let (x, y) = (outputsFound[0], outputsFound[1])
      var expected: [Float] = []
      for row in 0..<rows {
        let (q, scale) = Self.quantize(
          (0..<inputs).map { x[row * inputs + $0] * factors[$0] }, zero: zero)
        for o in 0..<outputs {
          let sum = (0..<inputs).reduce(0.0) { $0 + q[$1] * dense[o * inputs + $1] }
          expected.append(Float(sum * Double(scale)))
        }
      }
      #expect(normalizedError([y], [expected]) < 1e-6, "\(level)")
    }
  }

  /// Products of one value and of equal smoothings read the same bytes; in f32 nothing is smoothed.
  @Test func smoothingIsSharedAndUndone() throws {
    var weights = TestWeights()
    let w = (0..<3).map { weights.add("w\($0)", [20, 33], .int8) }
    weights.smooth(w[0])
    let first = try #require(weights.tensors.last)
    let same = SafetensorsWriter.Tensor(
      name: "w1.smooth", type: first.type, shape: first.shape, bytes: first.bytes)
    let store = try WeightStore(inMemory: weights.tensors + [same])
    let g = GraphBuilder("linears")
    let x = g.input("x", [1, 3, 33])
    for weight in w { g.output(weight.name, g.linear(x, weight)) }
    let backend = CPUBackend(threadCount: 1)
    func quantized(_ activations: ActivationFormat) -> [WeightReference?] {
      backend.plan(g.build(), for: store, activations: activations).graph.nodes.compactMap {
        if case .quantize(let op) = $0.op { op.smoothing } else { nil }
      }
    }
    #expect(quantized(.int8) == [WeightReference("w0.smooth", [33]), nil])
    #expect(quantized(.float32) == [])
    let exact = try run(g.build(), store, on: ReferenceBackend(), .float32)
    #expect(normalizedError(try run(g.build(), store, on: backend, .float32), exact) < 1e-5)
    let error = normalizedError(try run(g.build(), store, on: backend, .int8), exact)
    #expect(error < 0.02 && error > 1e-4)
    #expect(
      backend.boundBytes(of: [g.build()], in: store, activations: .int8) == 3 * 4 * 32)
  }

  /// Quantization-aware training simulates these kernels: the integers that go into the sums must
  /// be the same ones, so the integer sums of int8 weights are equal.
  @Test func trainingComputesTheSame() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/goldens/quantization")
    let goldens = try SafetensorsFile(path: folder.appending(path: "goldens.safetensors").path)
    let store = try WeightStore(
      files: [SafetensorsFile(path: folder.appending(path: "weights.safetensors").path)])
    func values<Element>(_ name: String, as type: Element.Type) throws -> [Element] {
      Array(try #require(goldens.tensor(named: name)).bytes.bindMemory(to: type))
    }
    let x = try values("x", as: Float.self)
    let g = GraphBuilder("linear")
    let input = g.input("x", [1, 9, 96])
    for bits in [4, 8] {
      g.output("y\(bits)", g.linear(input, WeightReference("w\(bits)", [40, 96])))
    }
    let (sums, scales) = (
      try values("sums", as: Int32.self), try values("scales", as: Float.self)
    )
    for level in CPUBackend.Level.available {
      let backend = CPUBackend(threadCount: 1, level: level)
      let bound = backend.bind(store, activations: .int8)
      let plan = backend.plan(g.build(), for: store, activations: .int8)
      let session = try Session(bound.compile(plan, in: backend.makeArena()))
      session.write(x, to: "x")
      try session.run()
      for name in ["y4", "y8"] {
        let expected = try values(name, as: Float.self)
        #expect(normalizedError([session.read(name)], [expected]) < 1e-6, "\(level)")
      }
      let found = zip(session.read("y8"), scales).map { Int32(($0 / $1).rounded()) }
      #expect(found == sums, "\(level)")
    }
  }

  @Test(arguments: forms, [3, 4])
  func convolutionsQuantizePerItem(
    form: (format: StorageFormat, smooth: Bool, zero: Int), channels: Int
  ) throws {
    let (height, width, outputs) = (5, 4, 6)
    var weights = TestWeights()
    let w = weights.add("w", [outputs, 3, 3, channels], form.format)
    if form.smooth { weights.smooth(w) }
    if form.zero != 0 { weights.setZeroPoint(w, form.zero) }
    let g = GraphBuilder("convolution")
    let x = g.input("x", [2, height, width, channels])
    g.output("x", g.depthToSpace(x, factor: 1))
    g.output("y", g.convolution(x, w))
    let store = try weights.store()
    let (factors, dense) = try Self.smoothing(w, store)
    for level in CPUBackend.Level.available {
      let found = try run(g.build(), store, on: CPUBackend(threadCount: 2, level: level), .int8)
      let count = height * width * channels
      var expected: [Float] = []
      for item in 0..<2 {
        let (q, scale) = Self.quantize(
          (0..<count).map { found[0][item * count + $0] * factors[$0 % channels] },
          zero: form.zero)
        for pixel in 0..<height * width {
          for o in 0..<outputs {
            var sum = 0.0
            for tap in 0..<9 {
              let (y, x) = (pixel / width + tap / 3 - 1, pixel % width + tap % 3 - 1)
              guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
              for c in 0..<channels {
                sum +=
                  q[(y * width + x) * channels + c]
                  * dense[(o * 9 + tap) * channels + c]
              }
            }
            expected.append(Float(sum * Double(scale)))
          }
        }
      }
      #expect(normalizedError([found[1]], [expected]) < 1e-6, "\(level)")
    }
  }
}
