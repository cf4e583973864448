import BananaAPI
import FoundationEssentials

/// What a terminal shows while a picture is drawn: the picture so far, and under it where the job
/// stands.
struct DrawingScreen {
  private let graphics: GraphicsProtocol?
  private let size: Terminal.Size
  private let write: (String) -> Void
  private let pictureID = UInt32.random(in: 1...UInt32.max)
  private var hasRoom = false

  /// - Parameters:
  ///   - graphics: Nil shows no pictures.
  ///   - write: Where to.
  init(
    graphics: GraphicsProtocol?, size: Terminal.Size,
    write: @escaping (String) -> Void = Terminal.writeError
  ) {
    self.graphics = graphics
    self.size = size
    self.write = write
  }

  var showsPictures: Bool { graphics != nil }

  /// Draws the line over the last one.
  func show(_ progress: GenerationProgress) {
    show(line: ProgressBar.line(progress))
  }

  /// Says that the job waits.
  func showQueue(jobsAhead: Int) {
    show(line: jobsAhead == 1 ? "waiting for 1 job" : "waiting for \(jobsAhead) jobs")
  }

  private func show(line: String) {
    // A line that wraps could not be wiped.
    write("\r\u{1B}[K" + line.prefix(size.columns - 1))
  }

  /// Draws the picture over the last one.
  mutating func show(_ png: Data) {
    guard let graphics,
      let picture = TerminalPicture.encode(
        png, as: graphics, cellHeight: size.cellHeight, id: pictureID)
    else { return }
    let rows = TerminalPicture.rows
    var text = "\r\u{1B}[K"
    // Scrolling first: a saved place does not scroll along.
    if !hasRoom { text += String(repeating: "\n", count: rows) }
    hasRoom = true
    text += "\u{1B}[\(rows)A\u{1B}7" + picture + "\u{1B}8\u{1B}[\(rows)B\r"
    write(text)
  }

  /// Wipes the line; the picture stays.
  func close() {
    write("\r\u{1B}[K")
  }
}
