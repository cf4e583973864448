/// What a file is that was given for a picture, by its first bytes.
///
/// The raw value is its name in a sentence.
package enum FileFormat: String, Sendable, CaseIterable {
  case jpeg = "a JPEG"
  case webp = "a WebP"
  case gif = "a GIF"
  case avif = "an AVIF"
  case heic = "a HEIC"
  case jpegXL = "a JPEG XL"
  case jpeg2000 = "a JPEG 2000"
  case bmp = "a BMP"
  case tiff = "a TIFF"
  case icon = "an ICO"
  case photoshop = "a Photoshop file"
  case netpbm = "a Netpbm picture"
  case qoi = "a QOI"
  case openEXR = "an OpenEXR"
  case svg = "an SVG"
  case pdf = "a PDF"
  case postScript = "a PostScript file"
  case video = "a video"
  case html = "an HTML page"
  case xml = "XML"
  case json = "JSON"
  case dataURL = "a data: URL"
  case base64 = "base64 text"
  case text = "text"
  case gzip = "a gzip file"
  case zip = "a ZIP archive"
  case mangledPNG = "a PNG that was changed on its way, as by a copy in text mode"
  case empty = "an empty file"

  /// How much of a file says what it is.
  private static let headBytes = 1024

  /// What begins so, at the very beginning; longer beginnings of one family come first.
  private static let signatures: [(start: [UInt8], format: FileFormat)] = [
    ([0xFF, 0xD8, 0xFF], .jpeg), (Array("GIF8".utf8), .gif), (Array("BM".utf8), .bmp),
    ([0x49, 0x49, 0x2A, 0], .tiff), ([0x4D, 0x4D, 0, 0x2A], .tiff),
    ([0x49, 0x49, 0x2B, 0], .tiff), ([0x4D, 0x4D, 0, 0x2B], .tiff),
    ([0, 0, 0, 12] + Array("JXL ".utf8), .jpegXL), ([0xFF, 0x0A], .jpegXL),
    ([0, 0, 0, 12] + Array("jP  ".utf8), .jpeg2000), ([0xFF, 0x4F, 0xFF, 0x51], .jpeg2000),
    ([0, 0, 1, 0], .icon), ([0, 0, 2, 0], .icon), (Array("8BPS".utf8), .photoshop),
    (Array("qoif".utf8), .qoi), ([0x76, 0x2F, 0x31, 0x01], .openEXR),
    (Array("%PDF".utf8), .pdf), (Array("%!PS".utf8), .postScript),
    ([0x1A, 0x45, 0xDF, 0xA3], .video), ([0x1F, 0x8B], .gzip), (Array("PK".utf8) + [3, 4], .zip),
    // The signature of PNG with its line ends or its first byte turned into something else.
    ([0x89] + Array("PNG".utf8), .mangledPNG), ([0xC2, 0x89] + Array("PNG".utf8), .mangledPNG),
    ([0xEF, 0xBF, 0xBD] + Array("PNG".utf8), .mangledPNG),
    ([0x09] + Array("PNG".utf8), .mangledPNG), (Array("PNG\r\n".utf8), .mangledPNG),
  ]

  /// Recognizes what is no PNG; nil for what looks like nothing known.
  package init?(_ bytes: [UInt8]) {
    let head = bytes.prefix(Self.headBytes)
    if bytes.isEmpty {
      self = .empty
    } else if let known = Self.signatures.first(where: { head.starts(with: $0.start) }) {
      self = known.format
    } else if let contained = Self.contained(head) {
      self = contained
    } else if let text = Self.text(head) {
      self = text
    } else {
      return nil
    }
  }

  /// What names itself a few bytes in: RIFF, ISO base media files, Netpbm.
  private static func contained(_ head: ArraySlice<UInt8>) -> FileFormat? {
    func word(_ range: Range<Int>) -> String {
      String(decoding: head.dropFirst(range.lowerBound).prefix(range.count), as: UTF8.self)
    }
    if word(0..<4) == "RIFF" { return word(8..<12) == "WEBP" ? .webp : .video }
    if word(4..<8) == "ftyp" {
      // The major brand, a version, and the brands that it is also read by.
      let length = head.prefix(4).reduce(0) { $0 << 8 | Int($1) }
      let brands = ([8] + Array(stride(from: 16, to: min(length, 128), by: 4))).map {
        word($0..<$0 + 4)
      }
      if brands.contains(where: { ["avif", "avis"].contains($0) }) { return .avif }
      let heic: Set = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"]
      return brands.contains(where: heic.contains) ? .heic : .video
    }
    let kind = word(0..<2)
    let isSpaced = [0x0A, 0x20, 0x09, 0x0D].contains(head.dropFirst(2).first ?? 0)
    return kind.first == "P" && ("1"..."7").contains(kind.last ?? "0") && isSpaced ? .netpbm : nil
  }

  private static func text(_ head: ArraySlice<UInt8>) -> FileFormat? {
    let hasControls = head.contains { $0 < 0x20 && ![0x09, 0x0A, 0x0C, 0x0D].contains($0) }
    // The head may end in the middle of a character.
    let isText = (0...3).contains { cut in
      String(validating: head.dropLast(head.count == headBytes ? cut : 0), as: UTF8.self) != nil
    }
    guard !hasControls, isText else { return nil }
    let text = String(decoding: head, as: UTF8.self).lowercased()
      .drop { $0.isWhitespace || $0 == "\u{FEFF}" }
    if text.hasPrefix("data:") { return .dataURL }
    if text.hasPrefix("<") {
      if text.contains("<svg") { return .svg }
      return text.hasPrefix("<!doctype html") || text.contains("<html") ? .html : .xml
    }
    if text.hasPrefix("{") || text.hasPrefix("[") { return .json }
    return isBase64(head) ? .base64 : .text
  }

  /// Whether it is the alphabet of base64, long and without a word's spaces.
  private static func isBase64(_ head: ArraySlice<UInt8>) -> Bool {
    let digits = head.filter { $0 != 0x0A && $0 != 0x0D }
    return digits.count >= 16
      && digits.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"),
          UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "="):
          true
        default: false
        }
      }
  }

  /// What to do with it where a PNG is needed.
  var remedy: String {
    switch self {
    case .base64, .dataURL: "Send the bytes that it stands for."
    case .mangledPNG: "Get it again, as bytes."
    case .empty, .html, .xml, .json, .text, .gzip, .zip, .video: "Give a PNG picture."
    default: "Convert it to PNG."
    }
  }
}
