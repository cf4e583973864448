#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Standard output and standard error, and the terminal behind them.
enum Terminal {
  /// Of the window.
  struct Size: Equatable {
    var columns = 80
    /// Pixels of a character cell.
    var cellHeight = 16
  }

  static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Whether standard error is a terminal that can draw over a line.
  static var showsProgress: Bool { errorIsTerminal && !isDumb }

  private static var isDumb: Bool {
    let name = getenv("TERM").map { String(cString: $0) } ?? ""
    return name.isEmpty || name == "dumb"
  }

  /// Why there is no preview, for a person.
  static var whyNoPictures: String {
    errorIsTerminal
      ? "this terminal cannot show pictures (TERM is \(isDumb ? "dumb or not set" : "too simple"))."
      : "standard error is no terminal."
  }

  static func writeError(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count > 0 { bytes = bytes.dropFirst(count) } else if errno != EINTR { return }
    }
  }

  /// Sends on what was printed.
  static func flushOutput() throws {
    guard fflush(nil) != 0 else { return }
    throw Failure(
      code: .other,
      message: "The output cannot be written: \(SystemReason.text(errno)). "
        + "Make room where it goes, or send it elsewhere.")
  }

  static var size: Size {
    var window = winsize()
    var size = Size()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &window) == 0 else { return size }
    if window.ws_col > 1 { size.columns = Int(window.ws_col) }
    if window.ws_row > 0, window.ws_ypixel >= window.ws_row {
      size.cellHeight = Int(window.ws_ypixel / window.ws_row)
    }
    return size
  }

  /// Asks the terminal what it can (DA1) and waits a fifth of a second for its answer.
  static func primaryAttributes() -> [Int] {
    let descriptor = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var saved = termios()
    guard tcgetattr(descriptor, &saved) == 0 else { return [] }
    var quiet = saved
    quiet.c_lflag &= ~tcflag_t(ICANON | ECHO)
    withUnsafeMutableBytes(of: &quiet.c_cc) { characters in
      characters[Int(VMIN)] = 0
      characters[Int(VTIME)] = 2
    }
    tcsetattr(descriptor, TCSANOW, &quiet)
    defer { tcsetattr(descriptor, TCSANOW, &saved) }
    let question = Array("\u{1B}[c".utf8)
    guard write(descriptor, question, question.count) == question.count else { return [] }
    var answer: [UInt8] = []
    var byte: UInt8 = 0
    while answer.count < 64, read(descriptor, &byte, 1) == 1 {
      answer.append(byte)
      if byte == UInt8(ascii: "c") { break }
    }
    return GraphicsProtocol.attributes(in: answer)
  }
}

extension String {
  /// Without what it could do to a terminal, whoever wrote it: in one line.
  var printable: String {
    String(
      String.UnicodeScalarView(
        unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
  }

  /// The same for each of its lines.
  var printableLines: String {
    split(separator: "\n", omittingEmptySubsequences: false).map { String($0).printable }
      .joined(separator: "\n")
  }
}
