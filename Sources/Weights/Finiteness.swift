import TensorTypes

/// Checks of stored numbers, eight bytes at a time because whole models go through them.
enum Finiteness {
  /// Whether no number of a plain `format` in `bytes` is NaN or infinite: has all bits of its
  /// exponent set.
  static func holds(_ bytes: UnsafeRawBufferPointer, format: StorageFormat) -> Bool {
    switch format {
    case .float16: !contains(0x7C00_7C00_7C00_7C00, among: 0x0001_0001_0001_0001, in: bytes)
    case .bfloat16: !contains(0x7F80_7F80_7F80_7F80, among: 0x0001_0001_0001_0001, in: bytes)
    default: !contains(0x7F80_0000_7F80_0000, among: 0x0000_0001_0000_0001, in: bytes)
    }
  }

  /// Whether a lane of `bytes` has all of `bits` set.
  /// - Parameters:
  ///   - bits: The same in each lane, never a lane's highest bit.
  ///   - lanes: The lowest bit of each lane.
  private static func contains(
    _ bits: UInt64, among lanes: UInt64, in bytes: UnsafeRawBufferPointer
  ) -> Bool {
    // A lane of `missing` is 0 where all bits are set, and the subtraction borrows into a lane's
    // highest bit only there, or above such a lane.
    let highest = lanes << (lanes == 0x0000_0001_0000_0001 ? 31 : 15)
    var offset = 0
    while offset + 8 <= bytes.count {
      let missing = ~bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & bits
      if (missing &- lanes) & highest != 0 { return true }
      offset += 8
    }
    var rest: UInt64 = 0
    for (index, byte) in bytes[offset...].enumerated() { rest |= UInt64(byte) << (8 * index) }
    return ((~rest & bits) &- lanes) & highest != 0
  }

  /// Whether a byte of `bytes` is -128 as an int8.
  static func containsMinusOneHundredTwentyEight(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var offset = 0
    while offset + 8 <= bytes.count {
      // A byte of `word` is 0 where the number is -128, and borrows only there or above it.
      let word =
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ 0x8080_8080_8080_8080
      if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { return true }
      offset += 8
    }
    return bytes[offset...].contains(0x80)
  }
}
