import BananaAPI
import FoundationEssentials
import Imaging
import Testing

@testable import BananaCommands

/// Pictures in a terminal.
@Suite struct PreviewTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var environment: [String: String]
    var attributes: [Int] = []
    var expected: GraphicsProtocol?
    var testDescription: String { "\(environment) \(attributes)" }
  }

  static let cases = [
    Case(environment: [:], expected: nil), Case(environment: ["TERM": "dumb"], expected: nil),
    Case(environment: ["TERM": "xterm-kitty"], expected: .kitty),
    Case(environment: ["TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"], expected: .kitty),
    Case(environment: ["TERM": "xterm", "TERM_PROGRAM": "WezTerm"], expected: .kitty),
    Case(environment: ["TERM": "foot"], attributes: [62, 4, 22], expected: .sixel),
    Case(
      environment: ["TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"],
      expected: .blocks(trueColor: true)),
    Case(
      environment: ["TERM": "xterm", "TMUX": "x", "KITTY_WINDOW_ID": "1"], attributes: [4],
      expected: .sixel),
    Case(environment: ["TERM": "xterm"], attributes: [62], expected: .blocks(trueColor: false)),
  ]

  @Test(arguments: cases)
  func picksWhatTheTerminalCan(_ test: Case) {
    #expect(
      GraphicsProtocol.detect(
        environment: test.environment, primaryAttributes: { test.attributes }) == test.expected)
  }

  @Test(arguments: [
    ("\u{1B}[?62;4;22c", [62, 4, 22]), ("x\u{1B}[?6c", [6]), ("", []), ("\u{1B}[?62;4", []),
    ("\u{1B}[?;;x;4c", [4]),
  ])
  func readsTheTerminalsAnswer(_ test: (answer: String, attributes: [Int])) {
    #expect(GraphicsProtocol.attributes(in: Array(test.answer.utf8)) == test.attributes)
  }

  /// Left half red, right half clear.
  private func half(_ side: Int) -> Pixels {
    var bytes: [UInt8] = []
    for _ in 0..<side {
      for x in 0..<side { bytes += x < side / 2 ? [255, 0, 0, 255] : [0, 0, 0, 0] }
    }
    return Pixels(width: side, height: side, bytes: bytes)
  }

  @Test func blocksHaveTwoPixelsACell() {
    let text = TerminalPicture.blocks(half(4), trueColor: true)
    let red = "\u{1B}[38;2;255;0;0m\u{1B}[48;2;255;0;0m▀"
    let row = red + red + "\u{1B}[0m \u{1B}[0m \u{1B}[0m\u{1B}[4D\u{1B}[1B"
    #expect(text == row + row)
    #expect(TerminalPicture.blocks(half(2), trueColor: false).contains("\u{1B}[38;5;196m"))
    let odd = Pixels(width: 1, height: 1, filledWith: .white)
    #expect(TerminalPicture.blocks(odd, trueColor: false).contains("▀"))
  }

  /// The levels of the 256 colours are 0, 95, 135, 175, 215 and 255.
  @Test(
    arguments: [(47, 0), (48, 1), (114, 1), (116, 2), (156, 3), (234, 4), (236, 5)]
      as [(UInt8, Int)])
  func blocksTakeTheNearestOf256Colors(_ value: UInt8, _ level: Int) {
    let color = Color(red: 0, green: 0, blue: value)
    let text = TerminalPicture.blocks(
      Pixels(width: 2, height: 2, filledWith: color), trueColor: false)
    #expect(text.contains("\u{1B}[38;5;\(16 + level)m"))
  }

  /// Between two levels a sixel picture is as bright as it should be in the mean.
  @Test func sixelsAreDithered() {
    let color = Color(red: 0, green: 0, blue: 64)
    let text = TerminalPicture.sixel(Pixels(width: 4, height: 4, filledWith: color))
    // 64 is a quarter of the way from 51 to 102, so a quarter of the 16 pixels is brighter.
    #expect(text.contains("#1;2;0;0;20") && text.contains("#2;2;0;0;40"))
    let rows = text.split(separator: "#2").last!.prefix { $0 != "$" }
    #expect(rows.utf8.reduce(0) { $0 + ($1 - 63).nonzeroBitCount } == 4)
  }

  @Test func sixelsAreBandsOfSixRows() {
    let text = TerminalPicture.sixel(half(16))
    #expect(text.hasPrefix("\u{1B}P0;1;0q\"1;1;16;16#180;2;100;0;0"))
    // Eight full columns and eight empty ones, twice; then four of the six rows.
    #expect(text.hasSuffix("#180!8~!8?$-#180!8~!8?$-#180!8N!8?$-\u{1B}\\"))
  }

  @Test func kittyGetsTheFileInPieces() throws {
    let png = Data((0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    let text = try #require(
      TerminalPicture.encode(png, as: .kitty, cellHeight: 16, id: 9))
    let commands = text.split(separator: "\u{1B}\\").map { $0.dropFirst("\u{1B}_G".count) }
    #expect(commands.count == 2)
    #expect(commands[0].hasPrefix("a=T,f=100,i=9,p=1,q=2,C=1,c=32,r=16,m=1;"))
    #expect(commands[1].hasPrefix("m=0;"))
    let base64 = commands.map { $0.split(separator: ";")[1] }.joined()
    #expect(Data(base64Encoded: base64) == png)
  }

  @Test func shrinksByWholeBoxes() {
    #expect(TerminalPicture.shrunk(half(64), to: 32).width == 32)
    #expect(TerminalPicture.shrunk(half(96), to: 32).width == 32)
    #expect(TerminalPicture.shrunk(half(8), to: 32).width == 8)
    #expect(TerminalPicture.shrunk(half(64), to: 32)[0, 0].red == 255)
  }

  @Test func ignoresWhatIsNoPicture() {
    for graphics in [GraphicsProtocol.sixel, .blocks(trueColor: true)] {
      #expect(TerminalPicture.encode(Data([1]), as: graphics, cellHeight: 16, id: 1) == nil)
    }
  }

  @Test func drawsThePictureOverTheLastOne() throws {
    let png = Data(try PNG.encode(half(64)))
    var written: [String] = []
    var screen = DrawingScreen(
      graphics: .blocks(trueColor: true), size: .init(columns: 20, cellHeight: 16),
      write: { written.append($0) })
    screen.show(
      GenerationProgress(
        stage: .denoise, step: 1, of: 4, picture: 0, pictures: 1, secondsLeft: nil))
    screen.show(png)
    screen.show(png)
    screen.showQueue(jobsAhead: 2)
    screen.close()
    #expect(written.count == 5)
    #expect(written[0] == "\r\u{1B}[K" + "denoise [######....")
    let room = String(repeating: "\n", count: 16)
    #expect(written[1].hasPrefix("\r\u{1B}[K" + room + "\u{1B}[16A\u{1B}7"))
    #expect(written[2] == written[1].replacing(room, with: ""))
    #expect(written[2].hasSuffix("\u{1B}8\u{1B}[16B\r"))
    #expect(written[3] == "\r\u{1B}[Kwaiting for 2 jobs")
    #expect(written[4] == "\r\u{1B}[K")
  }
}
