import Graph
import TensorTypes
import Weights

/// Random numbers that a seed repeats (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func float() -> Float { Float.random(in: -1...1, using: &self) }
  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
}

/// Random weights in any stored form, under the names of a network's references.
struct TestWeights {
  private(set) var tensors: [SafetensorsWriter.Tensor] = []
  private var generator: SeededGenerator

  init(seed: UInt64 = 1) { generator = SeededGenerator(state: seed) }

  func store() throws -> WeightStore { try WeightStore(inMemory: tensors) }

  /// Adds a weight and returns the reference to it.
  mutating func add(
    _ name: String, _ shape: Shape, _ format: StorageFormat = .float32
  ) -> WeightReference {
    let (rows, columns) = (shape[0], shape.count / max(shape[0], 1))
    switch format {
    case .float32: append(name, .float32, shape.dimensions, floats(shape.count, 1))
    case .float16:
      let halves = (0..<shape.count).flatMap { _ in
        littleEndian(Float16(generator.float()).bitPattern)
      }
      append(name, .float16, shape.dimensions, halves)
    case .bfloat16:
      let halves = (0..<shape.count).flatMap { _ in
        littleEndian(UInt16(truncatingIfNeeded: generator.float().bitPattern >> 16))
      }
      append(name, .bfloat16, shape.dimensions, halves)
    case .int8: addInt8(name, rows, columns)
    case .int4(let group): addInt4(name, rows, columns, group)
    case .int8Rows:
      let bytes = (0..<shape.count).map { _ in int8() }
      append(name + ".int8rows", .int8, shape.dimensions, bytes)
      append(name + ".scale", .float32, [rows], floats(rows, 0.01))
    case .int4Rows(let group):
      let records = (0..<rows * columns / group).flatMap { _ in
        scale16() + generator.bytes(group / 2)
      }
      append(
        name + ".int4g\(group)rows", .uint8, [rows, columns / group, 2 + group / 2], records)
    }
    return WeightReference(name, shape)
  }

  private mutating func addInt8(_ name: String, _ rows: Int, _ columns: Int) {
    let (blocks, quads) = (BlockLayout.blocks(of: rows), BlockLayout.quads(of: columns))
    var bytes = [UInt8](repeating: 0, count: blocks * quads * 64)
    for o in 0..<rows {
      for i in 0..<columns {
        bytes[((o / 16 * quads + i / 4) * 16 + o % 16) * 4 + i % 4] = int8()
      }
    }
    append(name + ".int8", .int8, [blocks, quads, 16, 4], bytes)
    append(name + ".scale", .float32, [rows], floats(rows, 0.01))
  }

  private mutating func addInt4(_ name: String, _ rows: Int, _ columns: Int, _ group: Int) {
    let (blocks, groups) = (BlockLayout.blocks(of: rows), (columns + group - 1) / group)
    let record = BlockLayout.int4RecordByteCount(group: group)
    var bytes = [UInt8](repeating: 0x88, count: blocks * groups * record)
    for block in 0..<blocks {
      for g in 0..<groups {
        let base = (block * groups + g) * record
        for lane in 0..<16 {
          let isUsed = block * 16 + lane < rows
          let scale = isUsed ? scale16() : [0, 0]
          bytes[base + 2 * lane] = scale[0]
          bytes[base + 2 * lane + 1] = scale[1]
          guard isUsed else { continue }
          for i in 0..<group where g * group + i < columns {
            let nibble = UInt8.random(in: 0...15, using: &generator)
            let at = base + 32 + (i / 4 * 16 + lane) * 2 + i % 4 / 2
            bytes[at] = i % 2 == 0 ? bytes[at] & 0xf0 | nibble : bytes[at] & 0x0f | nibble << 4
          }
        }
      }
    }
    append(name + ".int4g\(group)", .uint8, [blocks, groups, record], bytes)
  }

  /// Adds what a weight's inputs are multiplied by before they are rounded.
  mutating func smooth(_ weight: WeightReference) {
    let inputs = weight.shape.last
    let factors = (0..<inputs).flatMap { _ in
      littleEndian(Float.random(in: 0.5...2, using: &generator).bitPattern)
    }
    append(WeightStore.smoothingName(weight.name), .float32, [inputs], factors)
  }

  /// Adds the byte that an input of zero becomes.
  mutating func setZeroPoint(_ weight: WeightReference, _ zeroPoint: Int) {
    append(
      WeightStore.zeroPointName(weight.name), .int8, [1], [UInt8(bitPattern: Int8(zeroPoint))])
  }

  private mutating func append(
    _ name: String, _ type: SafetensorsType, _ shape: [Int], _ bytes: [UInt8]
  ) {
    tensors.append(.init(name: name, type: type, shape: shape, bytes: bytes))
  }

  private mutating func floats(_ count: Int, _ scale: Float) -> [UInt8] {
    (0..<count).flatMap { _ in littleEndian((generator.float() * scale).bitPattern) }
  }

  private mutating func int8() -> UInt8 {
    UInt8(bitPattern: Int8.random(in: -127...127, using: &generator))
  }

  private mutating func scale16() -> [UInt8] {
    littleEndian(Float16(0.05 + 0.05 * generator.float()).bitPattern)
  }

  private func littleEndian<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
