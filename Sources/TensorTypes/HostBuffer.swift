/// A block of host memory aligned to 64 bytes, freed when the last owner lets go.
///
/// It is unchecked because its owner decides who writes when; a `Session` hands it to one run at
/// a time.
package final class HostBuffer: @unchecked Sendable {
  package let bytes: UnsafeMutableRawBufferPointer

  /// Allocates `byteCount` zeroed bytes.
  package init(byteCount: Int) {
    precondition(byteCount >= 0)
    bytes = .allocate(byteCount: max(byteCount, 1), alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { bytes.deallocate() }

  /// The buffer seen as f32 values.
  package var floats: UnsafeMutableBufferPointer<Float> { bytes.bindMemory(to: Float.self) }
}
