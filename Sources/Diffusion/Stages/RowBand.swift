import Execution
import TensorTypes

/// Memory for rows of f32.
///
/// Up to twice a usual picture it comes from the allocator, which has it from the picture before:
/// fresh pages would have to be cleared, which takes longer than to fill them.
final class RowBand {
  private static let mappedFrom = 8 << 20

  let floats: UnsafeMutableBufferPointer<Float>
  private let mapping: HostBuffer?

  /// - Throws: `ExecutionError.outOfMemory`.
  init(byteCount: Int) throws(ExecutionError) {
    guard byteCount < Self.mappedFrom else {
      let mapping = try HostBuffer(planned: byteCount)
      floats = mapping.floats
      self.mapping = mapping
      return
    }
    mapping = nil
    // As `SIMD4` wants it, and a little more.
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    floats = bytes.bindMemory(to: Float.self)
  }

  deinit {
    if mapping == nil { floats.baseAddress?.deallocate() }
  }

  /// Some of the rows of `floatCount` that the band begins with.
  func rows(_ rows: Range<Int>, of floatCount: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(
      rebasing: floats[rows.lowerBound * floatCount..<rows.upperBound * floatCount])
  }
}
