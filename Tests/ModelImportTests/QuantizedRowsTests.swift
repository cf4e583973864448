import TensorTypes
import Testing
import Weights

@testable import ModelImport

/// Blocks against their plain reading by `StoredWeight`.
@Suite struct QuantizedRowsTests {
  private struct Numbers {
    let rows: Int
    let columns: Int
    let values: [Float]

    init(_ rows: Int, _ columns: Int, seed: UInt64) {
      var state = seed
      (self.rows, self.columns) = (rows, columns)
      values = (0..<rows * columns).map { index in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        // Every seventh number is large, as in real networks; the third row is of zeros.
        let number = Float(Int32(truncatingIfNeeded: state >> 32)) / 0x1p31
        return index / columns == 2 ? 0 : index % 7 == 0 ? 4 * number : number
      }
    }

    /// Written as the importer does, 16 rows at a time.
    func blocks(
      _ body: (inout QuantizedRows, UnsafeBufferPointer<Float>) -> [UInt8]
    ) -> (bytes: [UInt8], quantized: QuantizedRows) {
      var quantized = QuantizedRows(columns: columns)
      var bytes: [UInt8] = []
      values.withUnsafeBufferPointer { values in
        for start in stride(from: 0, to: values.count, by: 16 * columns) {
          let end = min(start + 16 * columns, values.count)
          bytes += body(&quantized, UnsafeBufferPointer(rebasing: values[start..<end]))
        }
      }
      return (bytes, quantized)
    }

    func decibels(of read: [Float]) -> Double {
      var (signal, noise) = (0.0, 0.0)
      for (value, other) in zip(values, read) {
        signal += Double(value * value)
        noise += Double((value - other) * (value - other))
      }
      return QuantizationError(signal: signal, noise: noise).decibels!
    }
  }

  @Test(arguments: [(1, 1), (16, 4), (17, 9), (33, 70), (48, 128)])
  func int8IsReadAsItWasWritten(_ rows: Int, _ columns: Int) throws {
    let numbers = Numbers(rows, columns, seed: UInt64(rows * columns))
    let (bytes, quantized) = numbers.blocks { $0.int8($1) }
    let store = try WeightStore(inMemory: [
      .init(
        name: "w.int8", type: .int8,
        shape: [(rows + 15) / 16, (columns + 3) / 4, 16, 4], bytes: bytes),
      .init(
        name: "w.scale", type: .float32, shape: [rows],
        bytes: quantized.scales.withUnsafeBytes { Array($0) }),
    ])
    let read = try store.weight(named: "w", logicalShape: [rows, columns]).dequantized()
    for (index, value) in numbers.values.enumerated() {
      #expect(abs(read[index] - value) <= quantized.scales[index / columns] * 0.5001)
    }
    if let told = quantized.error.decibels {
      #expect(abs(told - numbers.decibels(of: read)) < 0.01)
    }
  }

  @Test(arguments: [(1, 32), (16, 64), (17, 40), (33, 96)])
  func int4IsReadAsItWasWritten(_ rows: Int, _ columns: Int) throws {
    let numbers = Numbers(rows, columns, seed: UInt64(rows + columns))
    let (bytes, quantized) = numbers.blocks { $0.int4($1) }
    let store = try WeightStore(inMemory: [
      .init(
        name: "w.int4g32", type: .uint8,
        shape: [
          (rows + 15) / 16, (columns + 31) / 32, BlockLayout.int4RecordByteCount(group: 32),
        ], bytes: bytes)
    ])
    let read = try store.weight(named: "w", logicalShape: [rows, columns]).dequantized()
    let told = try #require(quantized.error.decibels)
    #expect(abs(told - numbers.decibels(of: read)) < 0.01)
    // Better than the largest number to 7 and the rest where it falls.
    var plain = numbers.values
    for row in 0..<rows {
      for start in stride(from: 0, to: columns, by: 32) {
        let range = row * columns + start..<row * columns + min(start + 32, columns)
        let scale = max(plain[range].map { abs($0) }.max()! / 7, .leastNormalMagnitude)
        for index in range { plain[index] = (plain[index] / scale).rounded() * scale }
      }
    }
    #expect(told > numbers.decibels(of: plain))
  }
}
