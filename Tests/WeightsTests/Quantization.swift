import TensorTypes

@testable import Weights

/// Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators".
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

func littleEndianBytes<Element>(_ values: [Element]) -> [UInt8] {
  values.withUnsafeBytes { Array($0) }
}

/// Writes a matrix in each of the storage formats, element by element from the text of the format:
/// the other direction of what `StoredWeight.dequantized()` reads.
struct Quantization {
  let rows: Int
  let columns: Int
  let values: [Float]
  private var int8Scales: [Float] = []

  init(rows: Int, columns: Int, seed: UInt64) {
    var random = SplitMix64(state: seed)
    self.rows = rows
    self.columns = columns
    values = (0..<rows * columns).map { _ in Float.random(in: -2...2, using: &random) }
    int8Scales = (0..<rows).map { largest($0, 0..<columns) / 127 }
  }

  private func value(_ row: Int, _ column: Int) -> Float {
    row < rows && column < columns ? values[row * columns + column] : 0
  }

  private func largest(_ row: Int, _ range: Range<Int>) -> Float {
    range.map { abs(value(row, $0)) }.max()!
  }

  private func rounded(_ value: Float, limit: Float) -> Int {
    Int(max(-limit, min(limit, value.rounded(.toNearestOrEven))))
  }

  private func int8(_ row: Int, _ column: Int) -> Int {
    row < rows ? rounded(value(row, column) / int8Scales[row], limit: 127) : 0
  }

  private func int4Scale(_ row: Int, _ group: Range<Int>) -> Float16 {
    Float16(largest(row, group) / 7)
  }

  private func int4(_ row: Int, _ column: Int, _ scale: Float16) -> UInt8 {
    scale == 0 ? 8 : UInt8(rounded(value(row, column) / Float(scale), limit: 7) + 8)
  }

  func int8Tensors(_ name: String) -> [SafetensorsWriter.Tensor] {
    let (blocks, quads) = ((rows + 15) / 16, (columns + 3) / 4)
    var bytes: [UInt8] = []
    for block in 0..<blocks {
      for quad in 0..<quads {
        for o in 0..<16 {
          for i in 0..<4 {
            bytes.append(UInt8(bitPattern: Int8(int8(block * 16 + o, quad * 4 + i))))
          }
        }
      }
    }
    return [
      .init(name: name + ".int8", type: .int8, shape: [blocks, quads, 16, 4], bytes: bytes),
      scaleTensor(name),
    ]
  }

  func int4Tensors(_ name: String, group: Int) -> [SafetensorsWriter.Tensor] {
    let (blocks, groups) = ((rows + 15) / 16, (columns + group - 1) / group)
    var bytes: [UInt8] = []
    for block in 0..<blocks {
      for g in 0..<groups {
        let range = g * group..<(g + 1) * group
        let scales = (0..<16).map { int4Scale(block * 16 + $0, range) }
        bytes += littleEndianBytes(scales)
        for quad in 0..<group / 4 {
          for o in 0..<16 {
            let q = (0..<4).map {
              int4(block * 16 + o, range.lowerBound + quad * 4 + $0, scales[o])
            }
            bytes += [q[0] | q[1] << 4, q[2] | q[3] << 4]
          }
        }
      }
    }
    return [
      .init(
        name: "\(name).int4g\(group)", type: .uint8, shape: [blocks, groups, 32 + 8 * group],
        bytes: bytes)
    ]
  }

  func int8RowTensors(_ name: String) -> [SafetensorsWriter.Tensor] {
    let bytes = (0..<rows * columns).map {
      UInt8(bitPattern: Int8(int8($0 / columns, $0 % columns)))
    }
    return [
      .init(name: name + ".int8rows", type: .int8, shape: [rows, columns], bytes: bytes),
      scaleTensor(name),
    ]
  }

  func int4RowTensors(_ name: String, group: Int) -> [SafetensorsWriter.Tensor] {
    var bytes: [UInt8] = []
    for row in 0..<rows {
      for base in stride(from: 0, to: columns, by: group) {
        let scale = int4Scale(row, base..<base + group)
        bytes += littleEndianBytes([scale])
        for column in stride(from: base, to: base + group, by: 2) {
          bytes.append(int4(row, column, scale) | int4(row, column + 1, scale) << 4)
        }
      }
    }
    return [
      .init(
        name: "\(name).int4g\(group)rows", type: .uint8,
        shape: [rows, columns / group, 2 + group / 2], bytes: bytes)
    ]
  }

  func plainTensor(_ name: String, type: SafetensorsType) -> SafetensorsWriter.Tensor {
    let bytes: [UInt8] =
      switch type {
      case .float16: littleEndianBytes(values.map { Float16($0) })
      case .bfloat16: littleEndianBytes(values.map { UInt16($0.bitPattern >> 16) })
      default: littleEndianBytes(values)
      }
    return .init(name: name, type: type, shape: [rows, columns], bytes: bytes)
  }

  private func scaleTensor(_ name: String) -> SafetensorsWriter.Tensor {
    .init(
      name: name + ".scale", type: .float32, shape: [rows], bytes: littleEndianBytes(int8Scales))
  }
}
