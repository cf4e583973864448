import TensorTypes

/// Checks of stored numbers, eight bytes at a time because whole models go through them.
enum Finiteness {
  /// Whether no number of a plain `format` in `bytes` is NaN or infinite.
  static func holds(_ bytes: UnsafeRawBufferPointer, format: StorageFormat) -> Bool {
    switch format {
    case .float16: allNumbers(bytes, as: UInt16.self) { $0 & 0x7C00 != 0x7C00 }
    case .bfloat16: allNumbers(bytes, as: UInt16.self) { $0 & 0x7F80 != 0x7F80 }
    default: allNumbers(bytes, as: UInt32.self) { $0 & 0x7F80_0000 != 0x7F80_0000 }
    }
  }

  private static func allNumbers<Bits: FixedWidthInteger>(
    _ bytes: UnsafeRawBufferPointer, as type: Bits.Type, _ isGood: (Bits) -> Bool
  ) -> Bool {
    let size = MemoryLayout<Bits>.size
    var offset = 0
    while offset + size <= bytes.count {
      if !isGood(bytes.loadUnaligned(fromByteOffset: offset, as: type)) { return false }
      offset += size
    }
    return true
  }

  /// Whether a byte of `bytes` is -128 as an int8.
  static func containsMinusOneHundredTwentyEight(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var offset = 0
    while offset + 8 <= bytes.count {
      // A byte of `word` is 0 where the number is -128, and borrows only there or above it.
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ 0x8080_8080_8080_8080
      if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { return true }
      offset += 8
    }
    return bytes[offset...].contains(0x80)
  }
}
