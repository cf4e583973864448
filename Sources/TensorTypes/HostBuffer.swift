#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A block of host memory aligned to 64 bytes, freed when the last owner lets go.
///
/// It is unchecked because its owner decides who writes when; a `Session` hands it to one run at
/// a time.
package final class HostBuffer: @unchecked Sendable {
  /// Larger blocks are mapped by themselves: the allocator would keep them after they are freed.
  private static let mappedFrom = 256 << 10

  package let bytes: UnsafeMutableRawBufferPointer
  private let isMapped: Bool

  /// Allocates `byteCount` zeroed bytes.
  package init(byteCount: Int) {
    precondition(byteCount >= 0)
    if byteCount >= Self.mappedFrom,
      let address = mmap(
        nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      address != MAP_FAILED
    {
      bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
      isMapped = true
    } else {
      bytes = .allocate(byteCount: max(byteCount, 1), alignment: 64)
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
      isMapped = false
    }
  }

  deinit {
    if isMapped { munmap(bytes.baseAddress, bytes.count) } else { bytes.deallocate() }
  }

  /// The buffer seen as f32 values.
  package var floats: UnsafeMutableBufferPointer<Float> { bytes.bindMemory(to: Float.self) }
}
