import CPUBackend
import Execution
import Foundation
import Graph
import TensorTypes
import Testing
import Weights

/// int8 activations against the same arithmetic written naively: what is left is f32 rounding.
@Suite struct QuantizationTests {
  /// Quantizes as the formats say: scale = absmax / 127, ties to even.
  static func quantize(_ x: ArraySlice<Float>) -> (q: [Double], scale: Float) {
    let largest = x.reduce(0) { max($0, abs($1)) }
    guard largest > 0 else { return (x.map { _ in 0 }, 1) }
    let inverse = 127 / largest
    return (x.map { Double(($0 * inverse).rounded(.toNearestOrEven)) }, largest / 127)
  }

  @Test(arguments: [StorageFormat.int8, .int4(group: 32)])
  func linearsQuantizePerToken(format: StorageFormat) throws {
    let (rows, inputs, outputs) = (7, 70, 19)
    var weights = TestWeights()
    let w = weights.add("w", [outputs, inputs], format)
    let g = GraphBuilder("linear")
    let x = g.input("x", [1, rows, inputs])
    // The input comes back exactly, so that the test can quantize it too.
    g.output("x", g.depthToSpace(g.reshape(x, [1, rows, inputs, 1]), factor: 1))
    g.output("y", g.linear(x, w))
    let store = try weights.store()
    let dense = try store.weight(named: "w", logicalShape: w.shape).dequantized()
    for level in CPUBackend.Level.available {
      let outputsFound = try run(
        g.build(), store, on: CPUBackend(threadCount: 1, level: level), .int8)
      let (x, y) = (outputsFound[0], outputsFound[1])
      var expected: [Float] = []
      for row in 0..<rows {
        let (q, scale) = Self.quantize(x[row * inputs..<(row + 1) * inputs])
        for o in 0..<outputs {
          let sum = (0..<inputs).reduce(0.0) { $0 + q[$1] * Double(dense[o * inputs + $1]) }
          expected.append(Float(sum * Double(scale)))
        }
      }
      #expect(normalizedError([y], [expected]) < 1e-6, "\(level)")
    }
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

  @Test(arguments: [StorageFormat.int8, .int4(group: 32)], [3, 4])
  func convolutionsQuantizePerItem(format: StorageFormat, channels: Int) throws {
    let (height, width, outputs) = (5, 4, 6)
    var weights = TestWeights()
    let w = weights.add("w", [outputs, 3, 3, channels], format)
    let g = GraphBuilder("convolution")
    let x = g.input("x", [2, height, width, channels])
    g.output("x", g.depthToSpace(x, factor: 1))
    g.output("y", g.convolution(x, w))
    let store = try weights.store()
    let dense = try store.weight(named: "w", logicalShape: w.shape).dequantized()
    for level in CPUBackend.Level.available {
      let found = try run(g.build(), store, on: CPUBackend(threadCount: 2, level: level), .int8)
      let count = height * width * channels
      var expected: [Float] = []
      for item in 0..<2 {
        let (q, scale) = Self.quantize(found[0][item * count..<(item + 1) * count])
        for pixel in 0..<height * width {
          for o in 0..<outputs {
            var sum = 0.0
            for tap in 0..<9 {
              let (y, x) = (pixel / width + tap / 3 - 1, pixel % width + tap % 3 - 1)
              guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
              for c in 0..<channels {
                sum +=
                  q[(y * width + x) * channels + c]
                  * Double(dense[(o * 9 + tap) * channels + c])
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
