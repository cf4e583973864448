private import CISAL

/// Compresses a stream into zlib's format (RFC 1950) with ISA-L, at its level 1: twice as fast as
/// libdeflate's fastest, and it need not see the whole.
///
/// Equal bytes in equal pieces become equal bytes, wherever in memory they are.
struct Deflater: ~Copyable {
  private let stream: UnsafeMutablePointer<isal_zstream>
  private let levelBuffer: UnsafeMutablePointer<UInt8>
  private let isAllocated: Bool
  private static let pieceBytes = 64 << 10

  /// So many bytes at the beginning of a stream are flushed alone, for 7 bytes more.
  ///
  /// What ISA-L (2.30 to 2.32, on x86) makes of a beginning depends on where in memory its state
  /// lies: `isal_deflate_icf_body_hash_hist` looks the third place of a stream up by a hash of the
  /// register that still holds the state's address, and one address in a few thousand has the hash
  /// of bytes that come later. 4 to 16 bytes that are flushed take another function, which needs no
  /// such look at the first byte, and after which none is taken.
  private static let firstBytes = 8

  /// - Parameter place: Where its state shall lie, `stateBytes` that outlive it; anywhere if nil.
  init(at place: UnsafeMutableRawPointer? = nil) {
    isAllocated = place == nil
    stream = place?.bindMemory(to: isal_zstream.self, capacity: 1) ?? .allocate(capacity: 1)
    levelBuffer = .allocate(capacity: Self.levelBufferBytes)
    isal_deflate_init(stream)
    stream.pointee.gzip_flag = UInt16(IGZIP_ZLIB)
    stream.pointee.level = 1
    stream.pointee.level_buf = levelBuffer
    stream.pointee.level_buf_size = UInt32(Self.levelBufferBytes)
  }

  deinit {
    if isAllocated { stream.deallocate() }
    levelBuffer.deallocate()
  }

  static var stateBytes: Int { MemoryLayout<isal_zstream>.size }
  private static var levelBufferBytes: Int { Int(igzip_level_1_buffer_bytes) }

  /// Takes in `bytes` and appends to `packed` what is ready of the stream: with the last ones, all
  /// of it.
  /// - Precondition: More than a few, or the last.
  mutating func compress(_ bytes: ArraySlice<UInt8>, isLast: Bool, onto packed: inout [UInt8]) {
    var rest = bytes
    if stream.pointee.total_in == 0 {
      precondition(isLast || bytes.count > Self.firstBytes, "a stream begins with too little")
      stream.pointee.flush = UInt16(SYNC_FLUSH)
      deflate(rest.prefix(Self.firstBytes), onto: &packed)
      stream.pointee.flush = UInt16(NO_FLUSH)
      rest = rest.dropFirst(Self.firstBytes)
    }
    stream.pointee.end_of_stream = isLast ? 1 : 0
    deflate(rest, onto: &packed)
  }

  private mutating func deflate(_ bytes: ArraySlice<UInt8>, onto packed: inout [UInt8]) {
    defer { clear_upper_halves() }
    bytes.withUnsafeBufferPointer { source in
      // It is only read.
      stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
      stream.pointee.avail_in = UInt32(source.count)
      repeat {
        packed += [UInt8](unsafeUninitializedCapacity: Self.pieceBytes) { target, count in
          stream.pointee.next_out = target.baseAddress
          stream.pointee.avail_out = UInt32(target.count)
          let status = isal_deflate(stream)
          precondition(status == COMP_OK, "ISA-L cannot compress: \(status)")
          count = target.count - Int(stream.pointee.avail_out)
        }
      } while stream.pointee.avail_out == 0
      stream.pointee.next_in = nil
    }
  }
}
