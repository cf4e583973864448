package import Execution

/// What a stage makes of a source's rows, a band of tiles at a time.
package final class StagedRows: RowSource {
  package let width: Int
  package let height: Int
  package var format: ImageFormat { stage.output }
  private let source: any RowSource
  private let stage: any ImageStage
  /// Input pixels of a tile, and of its window.
  private let tile: (width: Int, height: Int)
  private let window: (width: Int, height: Int)
  /// A band of windows of the input, and a band of tiles of the output; nil before the first.
  private var bands: (input: RowBand, output: RowBand)?
  /// Input rows that are in memory, and how many have become output.
  private var loaded = 0..<0
  private var done = 0
  /// Rows of the output's band that wait to be given.
  private var ready = 0..<0

  package init(_ source: any RowSource, _ stage: any ImageStage) {
    precondition(source.format == stage.input, "\(stage.input) cannot be made of \(source.format)")
    self.source = source
    self.stage = stage
    let (width, height) = (source.width, source.height)
    self.width = stage.scale.applied(to: width)
    self.height = stage.scale.applied(to: height)
    tile = (min(stage.tile.width ?? width, width), min(stage.tile.height ?? height, height))
    window = (min(tile.width + 2 * stage.halo, width), min(tile.height + 2 * stage.halo, height))
  }

  /// Bytes that this stage's bands take.
  package var bandBytes: Int { inputBytes + outputBytes }
  private var inputFloats: Int { source.width * stage.input.channels }
  private var outputFloats: Int { width * stage.output.channels }
  private var inputBytes: Int { window.height * inputFloats * MemoryLayout<Float>.stride }
  private var outputBytes: Int {
    stage.scale.applied(to: tile.height) * outputFloats * MemoryLayout<Float>.stride
  }

  package func next(atMost count: Int) throws(ExecutionError) -> UnsafeBufferPointer<Float> {
    try makeReady()
    let rows = ready.prefix(count)
    ready = rows.upperBound..<ready.upperBound
    return bands?.output.rows(rows, of: outputFloats) ?? UnsafeBufferPointer(start: nil, count: 0)
  }

  /// Computes the next band of tiles, unless rows of the last one wait or there is none.
  package func makeReady() throws(ExecutionError) {
    guard ready.isEmpty, done < source.height else { return }
    if bands == nil {
      bands = (try RowBand(byteCount: inputBytes), try RowBand(byteCount: outputBytes))
    }
    let rows = done..<min(done + tile.height, source.height)
    let first = Self.start(of: rows.lowerBound, window.height, halo: stage.halo, in: source.height)
    try load(first..<first + window.height)
    for x in stride(from: 0, to: source.width, by: tile.width) {
      let columns = x..<min(x + tile.width, source.width)
      try stage.run(inputWindow(of: columns), into: outputTile(columns, rows))
    }
    done = rows.upperBound
    ready = 0..<stage.scale.applied(to: rows.count)
  }

  /// Where the window of a tile begins, along an axis of `extent` pixels.
  private static func start(of tile: Int, _ window: Int, halo: Int, in extent: Int) -> Int {
    min(max(tile - halo, 0), extent - window)
  }

  /// Reads on until `rows` are in memory, and forgets those before.
  private func load(_ rows: Range<Int>) throws(ExecutionError) {
    let input = bands!.input.floats
    let kept = max(rows.lowerBound, loaded.lowerBound)..<max(rows.lowerBound, loaded.upperBound)
    if kept.lowerBound > loaded.lowerBound, !kept.isEmpty {
      let offset = (kept.lowerBound - loaded.lowerBound) * inputFloats
      input.baseAddress!.update(
        from: input.baseAddress! + offset, count: kept.count * inputFloats)
    }
    loaded = kept
    while loaded.upperBound < rows.upperBound {
      let new = try source.next(atMost: rows.upperBound - loaded.upperBound)
      precondition(!new.isEmpty && new.count % inputFloats == 0, "rows are missing")
      (input.baseAddress! + loaded.count * inputFloats).update(
        from: new.baseAddress!, count: new.count)
      loaded = loaded.lowerBound..<loaded.upperBound + new.count / inputFloats
    }
  }

  /// - Precondition: The rows are loaded.
  private func inputWindow(of columns: Range<Int>) -> ImageRegion {
    let x = Self.start(of: columns.lowerBound, window.width, halo: stage.halo, in: source.width)
    let channels = stage.input.channels
    return ImageRegion(
      base: bands!.input.floats.baseAddress! + x * channels, stride: inputFloats,
      channels: channels, x: x, y: loaded.lowerBound, width: window.width, height: window.height)
  }

  private func outputTile(_ columns: Range<Int>, _ rows: Range<Int>) -> ImageRegion {
    let (scale, channels) = (stage.scale, stage.output.channels)
    let x = scale.applied(to: columns.lowerBound)
    return ImageRegion(
      base: bands!.output.floats.baseAddress! + x * channels, stride: outputFloats,
      channels: channels, x: x, y: scale.applied(to: rows.lowerBound),
      width: scale.applied(to: columns.count), height: scale.applied(to: rows.count))
  }
}
