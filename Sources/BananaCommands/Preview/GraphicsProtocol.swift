/// A way to show pictures in a terminal.
enum GraphicsProtocol: Sendable, Equatable {
  /// https://sw.kovidgoyal.net/kitty/graphics-protocol
  case kitty
  /// DEC's bitmaps of the VT340, six rows at a time.
  case sixel
  /// Two pixels a character cell, by half blocks in colour.
  case blocks(trueColor: Bool)

  /// Sixel graphics among a terminal's primary device attributes (DEC, DA1).
  private static let sixelAttribute = 4

  /// What a terminal can show, from what it says of itself.
  /// - Parameter primaryAttributes: Asks the terminal (DA1); empty when it does not answer.
  /// - Returns: Nil for a terminal that cannot even place its cursor.
  static func detect(
    environment: [String: String], primaryAttributes: () -> [Int]
  ) -> GraphicsProtocol? {
    let term = environment["TERM"] ?? ""
    if term.isEmpty || term == "dumb" { return nil }
    // A multiplexer keeps the terminal's variables and swallows kitty's commands.
    let isMultiplexed =
      environment["TMUX"] != nil || term.hasPrefix("screen") || term.hasPrefix("tmux")
    if !isMultiplexed, speaksKitty(environment, term) { return .kitty }
    if primaryAttributes().contains(sixelAttribute) { return .sixel }
    let depth = environment["COLORTERM"] ?? ""
    return .blocks(trueColor: depth == "truecolor" || depth == "24bit")
  }

  private static func speaksKitty(_ environment: [String: String], _ term: String) -> Bool {
    if environment["KITTY_WINDOW_ID"] != nil { return true }
    return ["xterm-kitty", "xterm-ghostty"].contains(term)
      || ["kitty", "ghostty", "WezTerm"].contains(environment["TERM_PROGRAM"] ?? "")
  }

  /// The numbers of an answer such as `ESC [ ? 62 ; 4 ; 22 c`.
  static func attributes(in answer: [UInt8]) -> [Int] {
    let text = String(decoding: answer, as: UTF8.self)
    guard let start = text.firstRange(of: "\u{1B}[?"),
      let end = text[start.upperBound...].firstIndex(of: "c")
    else { return [] }
    return text[start.upperBound..<end].split(separator: ";").compactMap { Int($0) }
  }
}
