import FoundationEssentials
import Testing

@testable import Imaging

/// Files as cameras, browsers and editors write them, from Fixtures/pictures: the 8-bit ones are
/// the truth.
@Suite struct PictureFileTests {
  private static func file(_ name: String) throws -> [UInt8] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: folder.appending(path: "Fixtures/pictures/\(name)")))
  }

  /// A file of one line of pixels, each of `values`.
  private static func line(
    _ values: [[UInt8]], depth: UInt8, kind: UInt8, width: UInt32, _ chunks: [UInt8] = []
  ) throws -> [UInt8] {
    var header = PNG.bigEndian(width)
    header += PNG.bigEndian(1)
    header += [depth, kind, 0, 0, 0]
    let raw: [UInt8] = [0] + Array(values.joined())
    let length = UInt16(raw.count)
    // Stored, not packed (RFC 1951, section 3.2.4), with its Adler-32.
    var (a, b) = (UInt32(1), UInt32(0))
    for byte in raw {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    let lengths = [length & 255, length >> 8, ~length & 255, ~length >> 8].map { UInt8($0) }
    var stored: [UInt8] = [0x78, 1, 1]
    stored += lengths
    stored += raw
    stored += PNG.bigEndian(b << 16 | a)
    var file = PNG.signature
    file += PNG.chunk("IHDR", header)
    file += chunks
    file += PNG.chunk("IDAT", stored)
    file += PNG.chunk("IEND", [])
    return file
  }

  private func expectNear(
    _ one: Pixels, _ other: Pixels, within limit: Int = 1,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(one.width == other.width && one.height == other.height, sourceLocation: sourceLocation)
    let worst = zip(one.bytes, other.bytes).map { abs(Int($0) - Int($1)) }.max() ?? 0
    #expect(worst <= limit, sourceLocation: sourceLocation)
  }

  @Test(arguments: [
    ("rgb16.png", "rgb8.png"), ("rgb16-srgb.png", "rgb8.png"), ("gray16.png", "gray8.png"),
    ("rgb16-iccp-srgb.png", "rgb8.png"), ("rgb16-cicp-srgb.png", "rgb8.png"),
  ])
  func sixteenBitsAreTheColoursOfEight(name: String, truth: String) throws {
    expectNear(try PNG.decode(Self.file(name)), try PNG.decode(Self.file(truth)))
  }

  @Test func sixteenBitsWithAlphaAreTheSameColours() throws {
    let rgba = try PNG.decode(Self.file("rgba16.png"))
    #expect(rgba[0, 0] == Color(red: 0x1E, green: 0x1E, blue: 0xDC))
    let gray = try PNG.decode(Self.file("ga16.png"))
    #expect(gray[0, 0] == Color(red: 0x34, green: 0x34, blue: 0x34))
    // Half clear, which a conversion through linear light would darken.
    let half = try Self.line(
      [[0x40, 0x40, 0x80, 0x80, 0xC0, 0xC0, 0x80, 0x80]], depth: 16, kind: 6, width: 1)
    expectNear(
      try PNG.decode(half), Pixels(width: 1, height: 1, bytes: [0x40, 0x80, 0xC0, 0x80]))
    // One value of 16 bits is clear: the lower bits count.
    let key = PNG.chunk("tRNS", [0x40, 0x41])
    let keyed = try Self.line([[0x40, 0x41, 0x40, 0x42]], depth: 16, kind: 0, width: 2, key)
    let pixels = try PNG.decode(keyed)
    #expect(pixels[0, 0].alpha == 0 && pixels[1, 0] == Color(red: 0x40, green: 0x40, blue: 0x40))
  }

  @Test func palettesAndFewBitsAreRead() throws {
    let palette = PNG.chunk("PLTE", [255, 0, 0, 0, 255, 0]) + PNG.chunk("tRNS", [255, 7])
    let indexed = try PNG.decode(
      Self.line(
        [[0b0100_0000]], depth: 1, kind: 3, width: 2, palette + PNG.chunk("sBIT", [5, 5, 5])))
    #expect(indexed[0, 0] == Color(red: 255, green: 0, blue: 0))
    #expect(indexed[1, 0] == Color(red: 0, green: 255, blue: 0, alpha: 7))
    let gray = try PNG.decode(Self.line([[0b0001_1011]], depth: 2, kind: 0, width: 4))
    #expect((0..<4).map { gray[$0, 0].red } == [0, 85, 170, 255])
  }

  /// Curves and colours that files declare: the numbers are those of ICC and CSS Color 4.
  @Test func declaredColoursAreConverted() throws {
    func decoded(_ chunks: [UInt8], _ rgb: [UInt8] = [200, 100, 50]) throws -> Color {
      try PNG.decode(Self.line([rgb], depth: 8, kind: 2, width: 1, chunks))[0, 0]
    }
    let plain = Color(red: 200, green: 100, blue: 50)
    // Half the light is 188 in sRGB, and 186 by libpng's curve, which is a power all along.
    let light = try decoded(PNG.chunk("gAMA", PNG.bigEndian(100_000)), [128, 128, 128])
    #expect((186...188).contains(light.red), "\(light)")
    // 1/2.2 is what writers say who mean sRGB, and sRGB says more than gAMA.
    #expect(try decoded(PNG.chunk("gAMA", PNG.bigEndian(45_455))) == plain)
    let both = PNG.chunk("sRGB", [0]) + PNG.chunk("gAMA", PNG.bigEndian(100_000))
    #expect(try decoded(both) == plain)
    // Display P3, by cICP and by cHRM: color(display-p3 0.784 0.392 0.196) is rgb(215, 93, 31).
    let p3 = Color(red: 215, green: 93, blue: 31)
    let places: [UInt32] = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000]
    let chunks = [
      PNG.chunk("cICP", [12, 13, 0, 1]), PNG.chunk("cHRM", places.flatMap(PNG.bigEndian)),
    ]
    for chunk in chunks {
      let color = try decoded(chunk)
      expectNear(
        Pixels(width: 1, height: 1, filledWith: color), Pixels(width: 1, height: 1, filledWith: p3))
    }
    // What cannot be: colours of nothing, a curve of nothing, a profile of nothing.
    for chunk in [
      PNG.chunk("cHRM", [UInt8](repeating: 0, count: 32)), PNG.chunk("gAMA", [0, 0, 0, 0]),
      PNG.chunk("cICP", [1]), PNG.chunk("iCCP", [65, 0, 0, 1, 2, 3]), PNG.chunk("gAMA", []),
      PNG.chunk("cICP", [200, 16, 0, 1]),
    ] { #expect(try decoded(chunk) == plain) }
  }

  /// A picture of 3x2, stored as each of the eight orientations has it.
  @Test(arguments: 1...8) func exifTurnsThePicture(value: UInt8) throws {
    let seen: [[UInt8]] = [[1, 2, 3], [4, 5, 6]]
    func stored(_ x: Int, _ y: Int) -> UInt8 {
      switch value {
      case 2: seen[y][2 - x]
      case 3: seen[1 - y][2 - x]
      case 4: seen[1 - y][x]
      case 5: seen[x][y]
      case 6: seen[x][2 - y]
      case 7: seen[1 - x][2 - y]
      case 8: seen[1 - x][y]
      default: seen[y][x]
      }
    }
    let (width, height) = value < 5 ? (3, 2) : (2, 3)
    let bytes = (0..<width * height).flatMap { index -> [UInt8] in
      [stored(index % width, index / width), 0, 0, 255]
    }
    var file = try PNG.encode(Pixels(width: width, height: height, bytes: bytes))
    for isLittle in [true, false] {
      let entry: [UInt8] =
        isLittle
        ? [0x12, 1, 3, 0, 1, 0, 0, 0, value, 0, 0, 0] : [1, 0x12, 0, 3, 0, 0, 0, 1, 0, value, 0, 0]
      let head: [UInt8] =
        isLittle
        ? [0x49, 0x49, 0x2A, 0, 8, 0, 0, 0, 1, 0] : [0x4D, 0x4D, 0, 0x2A, 0, 0, 0, 8, 0, 1]
      let exif = PNG.chunk("eXIf", head + entry + [0, 0, 0, 0])
      // At the end, where it may also be.
      let place = isLittle ? 33 : file.count - 12
      let turned = try PNG.decode(Array(file[..<place]) + exif + Array(file[place...]))
      #expect(turned.width == 3 && turned.height == 2)
      let reds = (0..<2).map { y in (0..<3).map { x in turned[x, y].red } }
      #expect(reds == seen)
    }
    file = try PNG.encode(Pixels(width: width, height: height, bytes: bytes))
    for exif: [UInt8] in [[], [0x49, 0x49, 0x2A, 0, 0xFF, 0xFF, 0xFF, 0xFF], [77, 77, 0, 42]] {
      let odd = Array(file[..<33] + PNG.chunk("eXIf", exif) + file[33...])
      #expect(try PNG.decode(odd).width == width)
    }
  }

  @Test func theTurnedFileIsTurned() throws {
    // Blue at the top left when stored, so at the top right when it is seen.
    let stored = try PNG.decode(Self.file("exif-rot6.png").without("eXIf"))
    let seen = try PNG.decode(Self.file("exif-rot6.png"))
    #expect(seen == stored.turned(.clockwise) && seen != stored)
    #expect(seen[63, 0] == stored[0, 0] && seen[63, 63] == stored[63, 0])
  }

  @Test func otherFormatsAreNamed() throws {
    #expect(throws: PNGError.notPNG(.jpeg)) { try PNG.decode(Self.file("photo.jpg")) }
    #expect(throws: PNGError.notPNG(.webp)) { try PNG.decode(Self.file("photo.webp")) }
    #expect("\(PNGError.notPNG(.jpeg))" == "This is a JPEG; PNG is needed. Convert it to PNG.")
    func ftyp(_ brands: String) -> [UInt8] {
      [0, 0, 0, UInt8(8 + brands.utf8.count)] + Array("ftyp\(brands)".utf8)
    }
    let known: [([UInt8], FileFormat?)] = [
      (ftyp("avif\0\0\0\0mif1"), .avif), (ftyp("mif1\0\0\0\0mif1avif"), .avif),
      (ftyp("heic\0\0\0\0mif1"), .heic), (ftyp("isom\0\0\0\0mp41"), .video),
      ([0x49, 0x49, 0x2A, 0, 8, 0], .tiff), ([0xFF, 0x0A, 1], .jpegXL),
      (Array("BM6".utf8), .bmp), (Array("P6\n2 2\n255\n".utf8), .netpbm),
      (Array("%PDF-1.7".utf8), .pdf), (Array("\u{FEFF}<?xml ?>\n<svg>".utf8), .svg),
      (Array(" <!DOCTYPE html><p>".utf8), .html), (Array("{\"error\": 1}".utf8), .json),
      (Array("data:image/png;base64,iVBORw0KGgo=".utf8), .dataURL),
      (Array("iVBORw0KGgoAAAANSUhEUgAA".utf8), .base64), (Array("Fünf Äpfel".utf8), .text),
      ([0x89, 0x50, 0x4E, 0x47, 0x0A, 0x1A, 0x0A], .mangledPNG),
      ([0xEF, 0xBF, 0xBD] + Array("PNG\r\n".utf8), .mangledPNG),
      ([0, 1, 2, 3, 4, 5, 6, 7, 200], nil), (Array("RIFF1234WAVE".utf8), .video),
      ([UInt8](repeating: 0xC3, count: 1) + Array("abc".utf8), nil),
      ([UInt8](repeating: 0x61, count: 1023) + Array("é tail".utf8), .text),
    ]
    for (bytes, format) in known { #expect(FileFormat(bytes) == format, "\(bytes.prefix(16))") }
  }

  /// Wherever the file ends, it is said that its end is missing, or that pixels are.
  @Test func cutFilesAreSaidToBeCut() throws {
    let file = try Self.file("rgb8.png")
    for length in 8..<file.count - 12 {
      #expect(throws: PNGError.cutOff) { try PNG.decode(Array(file[..<length])) }
    }
    let other = Array(file[..<50] + [file[50] ^ 1] + file[51...])
    #expect(throws: PNGError.self) { try PNG.decode(other) }
  }

  /// The first picture of an animation is an ordinary one.
  @Test func animationsGiveTheirFirstPicture() throws {
    let file = try Self.file("rgb8.png")
    var animated = Array(file[..<33])
    animated += PNG.chunk("acTL", [0, 0, 0, 2, 0, 0, 0, 0])
    animated += PNG.chunk("fcTL", [UInt8](repeating: 0, count: 26))
    animated += file[33...].dropLast(12)
    animated += PNG.chunk("fdAT", [0, 0, 0, 1, 9, 9])
    animated += file.suffix(12)
    #expect(try PNG.decode(animated) == PNG.decode(file))
  }
}
