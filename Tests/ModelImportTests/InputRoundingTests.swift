import CPUBackend
import Execution
import Foundation
import Graph
import TensorTypes
import Testing
import Weights

@testable import ModelImport

/// What is expected of inputs, against many random ones.
@Suite struct InputRoundingTests {
  /// Normal numbers that a seed repeats. Box and Muller 1958.
  private struct Normal {
    var state: UInt64 = 5

    mutating func uniform() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Double(state >> 11) + 0.5) / 0x1p53
    }

    mutating func next() -> Double {
      (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform())
    }
  }

  private static func moments(_ gains: [Float], _ biases: [Float]) -> ChannelMoments {
    ChannelMoments(
      means: biases.map { Double($0) }, variances: gains.map { Double($0 * $0) })
  }

  private static let activations: [Activation] = [.none, .silu, .gelu, .quickGELU, .relu]

  @Test(arguments: activations) func sizesAreThoseBehindNorms(activation: Activation) {
    let (gains, biases): ([Float], [Float]) = ([1, -4, 0.1, 0], [0, 0.5, -1, 0.3])
    let sizes = InputSizes(Self.moments(gains, biases), behind: activation)
    var normal = Normal()
    for channel in gains.indices {
      let values = (0..<20_000).map { _ in
        activation.value(Double(gains[channel]) * normal.next() + Double(biases[channel]))
      }
      let square = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
      #expect(abs(sizes.squares[channel] - square) < 0.04 * square + 1e-4)
      let largest = values.map { abs($0) }.max()!
      #expect(sizes.largest[channel] >= 0.9 * largest)
      #expect(sizes.largest[channel] < 1.4 * largest + 0.01)
      #expect(abs(sizes.lowest[channel] - max(0, -values.min()!)) < 0.2 * largest + 0.01)
      if let least = activation.least {
        #expect(values.min()! > -least - 1e-3)
        #expect(activation == .relu || (0...5000).contains { Self.reaches(activation, $0, least) })
      }
    }
  }

  private static func reaches(_ activation: Activation, _ index: Int, _ least: Double) -> Bool {
    abs(activation.value(-Double(index) / 1000) + least) < 1e-3
  }

  @Test func zeroPointsLeaveBytesWhereNumbersAre() {
    #expect(InputRounding(behind: .none).zeroPoint == 0)
    #expect(InputRounding(behind: .tanh).zeroPoint == 0)
    #expect(InputRounding(behind: .relu).zeroPoint == -126)
    for activation in [Activation.silu, .gelu, .quickGELU] {
      #expect((-115 ..< -80).contains(InputRounding(behind: activation).zeroPoint))
    }
    // Gains so small that SiLU is half the identity.
    let small = InputSizes(Self.moments([0.1, 0.1], [0, 0]), behind: .silu)
    #expect(InputRounding(small, weights: [1, 1])?.zeroPoint == 0)
  }

  /// Smoothed inputs have the sizes of smoothed weights, and the mean factor is 1.
  @Test func smoothingSharesSizesBetweenInputsAndWeights() throws {
    let sizes = InputSizes(Self.moments([1, 4, 0.25, 2], [0, 0, 0, 0]), behind: .none)
    let weights = [1.0, 1, 9, 0.01]
    let rounding = try #require(InputRounding(sizes, weights: weights))
    let factors = try #require(rounding.smoothing).map { Double($0) }
    let ratios = factors.indices.map { channel in
      let factor = factors[channel]
      return sizes.squares[channel] * factor * factor * factor * factor / weights[channel]
    }
    #expect(ratios.allSatisfy { abs($0 / ratios[0] - 1) < 1e-4 })
    #expect(abs(factors.reduce(1, *) - 1) < 1e-4)
    // What is always zero has a factor too.
    let dead = InputSizes(Self.moments([1, 0], [0, 0]), behind: .none)
    for factor in try #require(InputRounding(dead, weights: [0, 1])?.smoothing) {
      #expect(factor.isNormal && factor > 0)
    }
    // Weights whose squares are none.
    #expect(InputRounding(sizes, weights: [1, .infinity, 1, 1]) == nil)
  }

  /// A network with everything that passes sizes on, drawn with many random inputs.
  @Test func momentsAreThoseOfValuesThatAreDrawn() throws {
    var normal = Normal()
    var tensors: [SafetensorsWriter.Tensor] = []
    func weight(_ name: String, _ shape: Shape, _ size: Double, around mean: Double = 0) {
      let numbers = (0..<shape.count).map { _ in Float(mean + size * normal.next()) }
      tensors.append(
        .init(
          name: name, type: .float32, shape: shape.dimensions,
          bytes: numbers.withUnsafeBytes { Array($0) }))
    }
    let g = GraphBuilder("network")
    func w(_ name: String, _ shape: Shape, _ size: Double, around mean: Double = 0)
      -> WeightReference
    {
      weight(name, shape, size, around: mean)
      return WeightReference(name, shape)
    }
    let x = g.input("x", [4, 16, 16, 6])
    let a = g.convolution(x, w("a", [20, 3, 3, 6], 0.3), bias: w("a.bias", [20], 1))
    var h = g.groupNorm(
      a, weight: w("g", [20], 1, around: 1), bias: w("b", [20], 0.5), groups: 5, epsilon: 1e-6)
    h = g.convolution(g.silu(h), w("c", [20, 3, 3, 20], 0.1))
    h = g.concatenate([g.add(a, h), g.scale(x, by: 3, plus: 1)])
    h = g.reshape(h, [4, 256, 26])
    h = g.layerNorm(h, weight: w("l", [26], 1), bias: w("m", [26], 1), epsilon: 1e-6)
    h = g.gated(g.linear(h, w("p", [24, 26], 0.3)), by: .gelu)
    h = g.slice(g.linear(h, w("o", [9, 12], 0.5), bias: w("o.bias", [9], 1)), 2..<9)
    g.output("y", h)
    let graph = g.build()

    let folder = try TemporaryFolder()
    // As a file has convolutions.
    for index in tensors.indices where tensors[index].shape.count == 4 {
      let shape = tensors[index].shape
      let numbers = tensors[index].bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      let (channels, places) = (shape[3], shape[1] * shape[2])
      let filed = numbers.indices.map { at in
        let (row, rest) = at.quotientAndRemainder(dividingBy: channels * places)
        return numbers[row * channels * places + rest % places * channels + rest / places]
      }
      tensors.append(
        .init(
          name: tensors[index].name + ".filed", type: .float32,
          shape: [shape[0], shape[3], shape[1], shape[2]],
          bytes: filed.withUnsafeBytes { Array($0) }))
    }
    try SafetensorsWriter.write(tensors, to: folder.path + "/w.safetensors")
    let file = try SafetensorsFile(path: folder.path + "/w.safetensors")
    let files = graph.weights.map { reference in
      let isKernel = reference.shape.rank == 4
      return MatchedWeight(
        reference: reference,
        source: SourceTensor(name: reference.name + (isKernel ? ".filed" : ""), in: file),
        layout: isKernel ? .channelsInnermost : .same)
    }
    var walk = MomentWalk(
      graph, Dictionary(uniqueKeysWithValues: files.map { ($0.reference, $0) }))
    for node in graph.nodes { try walk.visit(node) }
    let told = try #require(walk.moments[h])

    let store = try WeightStore(inMemory: tensors)
    let backend = CPUBackend(threadCount: 1)
    let plan = backend.plan(graph, for: store, activations: .float32)
    let session = try Session(
      backend.bind(store, activations: .float32).compile(plan, in: backend.makeArena()))
    session.write((0..<x.shape.count).map { _ in Float(normal.next()) }, to: "x")
    try session.run()
    let y = session.read("y")
    for channel in 0..<7 {
      let values = stride(from: channel, to: y.count, by: 7).map { Double(y[$0]) }
      let mean = values.reduce(0, +) / Double(values.count)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
      #expect(abs(told.means[channel] - mean) < 0.5 * variance.squareRoot(), "\(channel)")
      #expect((0.4...2.5).contains(told.variances[channel] / variance), "\(channel)")
    }
  }

  /// Products of inputs of which some are far larger: what is told of their error is what it is,
  /// and it is far less than without smoothing and zero point.
  @Test(arguments: [(Activation.none, 3.0), (.silu, 6), (.relu, 5)])
  func productsErrLess(activation: Activation, gain: Double) throws {
    let (rows, columns, places) = (32, 128, 400)
    var normal = Normal()
    let gains = (0..<columns).map { _ in Float(1 + 0.25 * normal.next()) }.enumerated()
      .map { $0 % 16 == 3 ? 6 * $1 : $1 }
    let biases = (0..<columns).map { _ in Float(0.2 * normal.next()) }
    let numbers = (0..<rows * columns).map { _ in Float(normal.next()) }
    let inputs = (0..<places).map { _ in
      (0..<columns).map { activation.value(Double(gains[$0]) * normal.next() + Double(biases[$0])) }
    }
    let sizes = InputSizes(Self.moments(gains, biases), behind: activation)
    let squares = (0..<columns).map { column in
      (0..<rows).reduce(0.0) { $0 + pow(Double(numbers[$1 * columns + column]), 2) } / Double(rows)
    }
    var plain = InputRounding()
    plain.noise = 0
    let rounding = try #require(InputRounding(sizes, weights: squares))
    let (before, _) = try decibels(numbers, columns, inputs, plain)
    let (after, told) = try decibels(numbers, columns, inputs, rounding)
    #expect(after > before + gain, "\(before) to \(after)")
    // Where many are zero behind ReLU, less is rounded than is told.
    #expect((-1...6).contains(after - told), "\(after), and \(told) were told")
  }

  /// Of the products of rounded weights and inputs that share a scale: what it is, and what
  /// `QuantizedRows` says.
  private func decibels(
    _ numbers: [Float], _ columns: Int, _ inputs: [[Double]], _ rounding: InputRounding
  ) throws -> (Double, Double) {
    let rows = numbers.count / columns
    var quantized = QuantizedRows(columns: columns, rounding)
    var bytes: [UInt8] = []
    numbers.withUnsafeBufferPointer { numbers in
      for start in stride(from: 0, to: numbers.count, by: 16 * columns) {
        bytes += quantized.int8(.init(rebasing: numbers[start..<start + 16 * columns]))
      }
    }
    let stored = try WeightStore(inMemory: [
      .init(
        name: "w.int8", type: .int8, shape: [rows / 16, columns / 4, 16, 4], bytes: bytes),
      .init(
        name: "w.scale", type: .float32, shape: [rows],
        bytes: quantized.scales.withUnsafeBytes { Array($0) }),
    ]).weight(named: "w", logicalShape: [rows, columns]).dequantized()
    let factors = rounding.smoothing?.map { Double($0) } ?? Array(repeating: 1, count: columns)
    let smooth = inputs.map { zip($0, factors).map { $0 * $1 } }
    let (most, least) = (smooth.joined().max()!, smooth.joined().min()!)
    let zero = Double(rounding.zeroPoint)
    let scale = max(most / (127 - zero), -least / (127 + zero))
    var (signal, noise) = (0.0, 0.0)
    for (input, smooth) in zip(inputs, smooth) {
      for row in 0..<rows {
        var (exact, found) = (0.0, 0.0)
        for column in 0..<columns {
          exact += input[column] * Double(numbers[row * columns + column])
          let rounded = (smooth[column] / scale).rounded() * scale
          found += rounded * Double(stored[row * columns + column])
        }
        signal += exact * exact
        noise += (exact - found) * (exact - found)
      }
    }
    return (10 * log10(signal / noise), quantized.error.decibels!)
  }
}
