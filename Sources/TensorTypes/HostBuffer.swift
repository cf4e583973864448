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

  /// Allocates `byteCount` zeroed bytes, which the system must have.
  package convenience init(byteCount: Int) {
    do throws(OutOfMemory) { try self.init(allocating: byteCount) } catch {
      preconditionFailure("\(error)")
    }
  }

  /// Allocates `byteCount` zeroed bytes: for what grows with a model or with a request.
  /// - Throws: `OutOfMemory` when the system refuses them.
  package init(allocating byteCount: Int) throws(OutOfMemory) {
    precondition(byteCount >= 0)
    isMapped = byteCount >= Self.mappedFrom
    guard isMapped else {
      bytes = .allocate(byteCount: max(byteCount, 1), alignment: 64)
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
      return
    }
    let address = mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let address, address != MAP_FAILED else { throw OutOfMemory(neededBytes: byteCount) }
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
  }

  deinit {
    if isMapped { munmap(bytes.baseAddress, bytes.count) } else { bytes.deallocate() }
  }

  /// The buffer seen as f32 values.
  package var floats: UnsafeMutableBufferPointer<Float> { bytes.bindMemory(to: Float.self) }
}

/// The system has refused memory.
package struct OutOfMemory: Error, Equatable, CustomStringConvertible {
  package let neededBytes: Int

  package init(neededBytes: Int) { self.neededBytes = neededBytes }

  package var description: String {
    "the system refused \(neededBytes) bytes of memory. Ask for less, or stop other programs"
  }
}
