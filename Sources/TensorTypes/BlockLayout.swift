/// The blocked layouts in which quantized weights lie in files; every kernel reads them in place.
///
/// A block covers 16 outputs, so that it is one 512-bit register wide, two 256-bit ones or four
/// 128-bit ones; inside it, 4 consecutive inputs of one output are adjacent, as dot-product
/// instructions want them.
package enum BlockLayout {
  /// Outputs in a block.
  package static let outputs = 16
  /// Consecutive inputs of one output that lie side by side.
  package static let inputs = 4

  /// The bytes of one int4 record: 16 f16 scales, then `[group/4][16][2]` bytes of nibbles.
  package static func int4RecordByteCount(group: Int) -> Int { 2 * outputs + 8 * group }

  /// The bytes of one record of an int4 embedding table: an f16 scale, then `group/2` bytes.
  package static func int4RowRecordByteCount(group: Int) -> Int { 2 + group / 2 }

  package static func blocks(of n: Int) -> Int { (n + outputs - 1) / outputs }
  package static func quads(of k: Int) -> Int { (k + inputs - 1) / inputs }
}
