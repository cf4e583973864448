/// Writes a PNG file row by row, in as much memory as a few rows and a compressor take, however
/// large the picture is.
///
/// docs/decisions/0012-a-stream-for-png.md says what it was measured against.
package struct PNGWriter: ~Copyable {
  /// Rows are compressed as many at a time as make this many bytes, and stored in chunks of it.
  private static let stripBytes = 64 << 10

  private let rowBytes: Int
  private let height: Int
  private var rowCount = 0
  private var deflater = Deflater()
  /// The row before, and the one that is being written.
  private var above: [UInt8]
  private var row: [UInt8]
  /// Rows as they are compressed, each with its filter before it; `stripCount` bytes of them.
  private var strip: [UInt8]
  private var stripCount = 0
  private var packed: [UInt8] = []
  private var bytes: [UInt8]

  /// Begins a file of 8 bits a channel, sRGB, with `texts` before the picture.
  /// - Throws: `PNGError.invalidText`.
  package init(
    width: Int, height: Int, format: ColorChannels, texts: [PNG.Text] = []
  ) throws(PNGError) {
    precondition(width > 0 && height > 0, "a picture of \(width)x\(height)")
    rowBytes = width * format.channels
    self.height = height
    above = Array(repeating: 0, count: rowBytes)
    row = above
    strip = Array(repeating: 0, count: max(Self.stripBytes / (rowBytes + 1), 1) * (rowBytes + 1))
    // 8 bits, colour with or without alpha, deflate, filtered by line, not interlaced
    // (section 11.2.1).
    let header =
      PNG.bigEndian(UInt32(width)) + PNG.bigEndian(UInt32(height))
      + [8, format == .rgb ? 2 : 6, 0, 0, 0]
    bytes =
      PNG.signature + PNG.chunk("IHDR", header) + PNG.chunk("sRGB", [0])
      + (try PNG.chunks(of: texts))
  }

  /// Writes the next row.
  /// - Parameter fill: Puts the row's pixels into what it is given, straight alpha last if there is
  ///   any.
  package mutating func write(_ fill: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    precondition(rowCount < height, "a picture of \(height) rows has no more")
    row.withUnsafeMutableBufferPointer { fill($0) }
    appendDifferences()
    swap(&row, &above)
    rowCount += 1
    if stripCount == strip.count || rowCount == height { compress() }
  }

  /// Filters the row with Up (section 9.2); the first one has a row of zeros above it.
  private mutating func appendDifferences() {
    strip.withUnsafeMutableBufferPointer { strip in
      let target = strip.baseAddress! + stripCount
      target[0] = 2
      row.withUnsafeBufferPointer { row in
        above.withUnsafeBufferPointer { above in
          for index in 0..<rowBytes { target[1 + index] = row[index] &- above[index] }
        }
      }
    }
    stripCount += 1 + rowBytes
  }

  /// The bytes of the file that are new since this was asked last.
  package mutating func takeBytes() -> [UInt8] {
    let taken = bytes
    bytes = []
    return taken
  }

  /// The rest of the file: all of it if none has been taken.
  /// - Precondition: All rows are written.
  package consuming func finish() -> [UInt8] {
    precondition(rowCount == height, "\(height - rowCount) rows are missing")
    return bytes + PNG.chunk("IEND", [])
  }

  private mutating func compress() {
    let isLast = rowCount == height
    deflater.compress(strip[..<stripCount], isLast: isLast, onto: &packed)
    stripCount = 0
    if isLast || packed.count >= Self.stripBytes {
      bytes += PNG.chunk("IDAT", packed)
      packed.removeAll(keepingCapacity: true)
    }
  }
}
