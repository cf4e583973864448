import BananaSDK
import FoundationEssentials
import Imaging

/// A picture as the bytes that show it in a terminal, with the cursor at its upper left corner.
///
/// Nothing in it scrolls, and where the cursor is left does not matter.
enum TerminalPicture {
  /// Character cells that a picture takes, about square.
  static let columns = 32
  static let rows = 16

  /// - Parameters:
  ///   - cellHeight: Pixels; sixels are not scaled by the terminal.
  ///   - id: Kitty replaces the picture that has the same one.
  /// - Returns: Nil for what is no PNG file.
  static func encode(
    _ png: Data, as graphics: GraphicsProtocol, cellHeight: Int, id: UInt32
  ) -> String? {
    if graphics == .kitty { return kitty(png, id: id) }
    guard let pixels = try? PNG.decode(Array(png)) else { return nil }
    switch graphics {
    case .kitty: return nil
    case .sixel: return sixel(shrunk(pixels, to: rows * cellHeight))
    case .blocks(let trueColor): return blocks(shrunk(pixels, to: columns), trueColor: trueColor)
    }
  }

  /// The picture with at most `side` pixels a side, as far as whole boxes of pixels allow it.
  static func shrunk(_ pixels: Pixels, to side: Int) -> Pixels {
    let longer = max(pixels.width, pixels.height)
    let factors = (1...max(longer, 1)).filter {
      pixels.width % $0 == 0 && pixels.height % $0 == 0
    }
    let factor = factors.first { longer / $0 <= side } ?? factors[factors.count - 1]
    return factor == 1 ? pixels : PremultipliedImage(pixels).boxAveraged(by: factor).pixels()
  }

  /// The file itself in pieces of 4096 characters, scaled by the terminal.
  private static func kitty(_ png: Data, id: UInt32) -> String {
    let base64 = Array(png.base64EncodedString().utf8)
    var text = ""
    for start in stride(from: 0, to: base64.count, by: 4096) {
      let end = min(start + 4096, base64.count)
      // Transmit and show, PNG, no answers, cursor stays.
      let keys =
        start == 0 ? "a=T,f=100,i=\(id),p=1,q=2,C=1,c=\(columns),r=\(rows)," : ""
      let piece = String(decoding: base64[start..<end], as: UTF8.self)
      text += "\u{1B}_G\(keys)m=\(end < base64.count ? 1 : 0);\(piece)\u{1B}\\"
    }
    return text
  }

  /// Two pixels a cell: the upper half in the foreground's colour, the lower in the background's.
  static func blocks(_ pixels: Pixels, trueColor: Bool) -> String {
    func color(_ layer: Int, _ color: Color) -> String {
      if trueColor { return "\u{1B}[\(layer);2;\(color.red);\(color.green);\(color.blue)m" }
      let index = color.channels.reduce(0) { $0 * 6 + Self.paletteLevel($1) }
      return "\u{1B}[\(layer);5;\(16 + index)m"
    }
    var text = ""
    for y in stride(from: 0, to: pixels.height, by: 2) {
      for x in 0..<pixels.width {
        let upper = pixels[x, y]
        let lower = y + 1 < pixels.height ? pixels[x, y + 1] : .clear
        switch (upper.alpha >= 128, lower.alpha >= 128) {
        case (false, false): text += "\u{1B}[0m "
        case (true, false): text += "\u{1B}[0m" + color(38, upper) + "▀"
        case (false, true): text += "\u{1B}[0m" + color(38, lower) + "▄"
        case (true, true): text += color(38, upper) + color(48, lower) + "▀"
        }
      }
      text += "\u{1B}[0m\u{1B}[\(pixels.width)D\u{1B}[1B"
    }
    return text
  }

  /// Bands of six rows, one pass a colour; what is clear is left alone. Colours are of a cube of
  /// six levels a channel.
  static func sixel(_ pixels: Pixels) -> String {
    var text = "\u{1B}P0;1;0q\"1;1;\(pixels.width);\(pixels.height)"
    var used = [Bool](repeating: false, count: 216)
    var bands = ""
    for top in stride(from: 0, to: pixels.height, by: 6) {
      var rows: [Int: [UInt8]] = [:]
      for y in top..<min(top + 6, pixels.height) {
        for x in 0..<pixels.width where pixels[x, y].alpha >= 128 {
          let index = cubeIndex(pixels[x, y], x, y)
          rows[index, default: Array(repeating: 0, count: pixels.width)][x] |= 1 << UInt8(y - top)
        }
      }
      for (index, bits) in rows.sorted(by: { $0.key < $1.key }) {
        used[index] = true
        bands += "#\(index)" + runs(of: bits) + "$"
      }
      bands += "-"
    }
    for index in used.indices where used[index] {
      let percent = [index / 36, index / 6 % 6, index % 6].map { "\($0 * 20)" }
      text += "#\(index);2;" + percent.joined(separator: ";")
    }
    return text + bands + "\u{1B}\\"
  }

  /// Columns of six pixels, with runs of equal ones counted.
  private static func runs(of bits: [UInt8]) -> String {
    var text = ""
    var start = 0
    while start < bits.count {
      var end = start + 1
      while end < bits.count, bits[end] == bits[start] { end += 1 }
      let character = String(UnicodeScalar(63 + bits[start]))
      text +=
        end - start > 3
        ? "!\(end - start)\(character)" : String(repeating: character, count: end - start)
      start = end
    }
    return text
  }

  /// A colour of a cube of six evenly spaced levels a channel; by ordered dithering (Bayer 1973),
  /// so that neighbours are the right colour in the mean.
  private static func cubeIndex(_ color: Color, _ x: Int, _ y: Int) -> Int {
    let threshold = (2 * thresholds[y % 4 * 4 + x % 4] + 1) * 255 / 32
    return color.channels.reduce(0) { $0 * 6 + ($1 * 5 + threshold) / 255 }
  }

  /// Each of 0...15 once, those that follow each other far apart.
  private static let thresholds = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5]

  /// The nearest level of the colour cube in terminals' palettes of 256: 0, 95, 135, 175, 215, 255.
  private static func paletteLevel(_ value: Int) -> Int {
    value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40
  }
}

extension Color {
  fileprivate var channels: [Int] { [Int(red), Int(green), Int(blue)] }
}
