package import Execution
package import Imaging

/// A picture that is made while it is read, from the top.
package protocol RowSource: AnyObject {
  var width: Int { get }
  var height: Int { get }
  var format: ImageFormat { get }

  /// The next rows, one at least and `count` at most: `[row, x, channel]`, until the next call;
  /// none if all were given.
  func next(atMost count: Int) throws(ExecutionError) -> UnsafeBufferPointer<Float>
}

extension RowSource {
  /// The picture behind one more stage.
  package func through(_ stage: any ImageStage) -> StagedRows { StagedRows(self, stage) }

  package var colorChannels: ColorChannels {
    guard case .pixels(let format) = format else {
      preconditionFailure("\(format) are no pixels")
    }
    return format
  }

  /// Rounds the next row to 8 bits and writes it.
  /// - Returns: Whether there was one.
  package func writeNext(to writer: inout PNGWriter) throws(ExecutionError) -> Bool {
    let row = try next(atMost: 1)
    if row.isEmpty { return false }
    writer.write { PixelRows.quantize(row, colorChannels, into: $0) }
    return true
  }
}

/// A picture that is in memory.
package final class StoredRows: RowSource {
  package let width: Int
  package let height: Int
  package let format: ImageFormat
  private let band: RowBand
  /// Rows that were given.
  private var given = 0

  /// - Parameter values: `[height, width, channel]`.
  package init(
    width: Int, height: Int, format: ImageFormat, values: [Float]
  ) throws(ExecutionError) {
    precondition(values.count == width * height * format.channels)
    self.width = width
    self.height = height
    self.format = format
    band = try RowBand(byteCount: values.count * MemoryLayout<Float>.stride)
    _ = band.floats.update(fromContentsOf: values)
  }

  package func next(atMost count: Int) -> UnsafeBufferPointer<Float> {
    let rows = given..<min(given + count, height)
    given = rows.upperBound
    return band.rows(rows, of: width * format.channels)
  }
}
