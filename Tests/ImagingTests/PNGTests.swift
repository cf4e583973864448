import Testing

@testable import Imaging

@Suite struct PNGTests {
  @Test(arguments: [(1, 1), (3, 5), (64, 64), (257, 2)])
  func picturesSurvive(size: (width: Int, height: Int)) throws {
    var random = SplitMix64(state: UInt64(size.width))
    let pixels = randomPixels(width: size.width, height: size.height, using: &random)
    let file = try PNG.encode(pixels)
    #expect(file.starts(with: PNG.signature))
    #expect(try PNG.decode(file) == pixels)
  }

  /// Without alpha where it says nothing, and with it if one pixel in a million needs it.
  @Test func opaquePicturesHaveNoAlpha() throws {
    var random = SplitMix64(state: 5)
    var pixels = randomPixels(width: 31, height: 17, using: &random)
    for index in stride(from: 3, to: pixels.bytes.count, by: 4) { pixels.bytes[index] = 255 }
    let opaque = try PNG.encode(pixels)
    #expect(colorType(of: opaque) == 2)
    #expect(try PNG.decode(opaque) == pixels)
    pixels.bytes[pixels.bytes.count - 1] = 254
    let other = try PNG.encode(pixels)
    #expect(colorType(of: other) == 6)
    #expect(try PNG.decode(other) == pixels)
  }

  /// Rows from a few bytes to more than a strip, pictures from one row to many strips.
  @Test(
    arguments: [(1, 1), (7, 300), (100, 700), (16_384, 9), (40_000, 3)], [ColorChannels.rgb, .rgba])
  func rowsMakeAFile(size: (width: Int, height: Int), format: ColorChannels) throws {
    var random = SplitMix64(state: 9)
    let bytes = (0..<size.width * size.height * format.channels).map { index in
      // Half of it smooth, half of it noise.
      index % 4096 < 2048
        ? UInt8(truncatingIfNeeded: index / 700)
        : UInt8.random(
          in: 0...255, using: &random)
    }
    let file = try streamed(bytes, size.width, size.height, format)
    #expect(colorType(of: file.whole) == (format == .rgb ? 2 : 6))
    #expect(file.pieces == file.whole)
    let (types, packed) = chunks(of: file.whole)
    #expect(types.first == "IHDR" && types.last == "IEND")
    #expect(types.filter { $0 != "IDAT" } == ["IHDR", "sRGB", "IEND"])
    #expect(packed.suffix(4) == checksumOfRows(bytes, size.width * format.channels)[...])
    let pixels = try PNG.decode(file.whole)
    let kept = (0..<size.width * size.height).allSatisfy { index in
      (0..<format.channels).allSatisfy {
        pixels.bytes[index * 4 + $0] == bytes[index * format.channels + $0]
      }
    }
    #expect(kept)
  }

  /// A file in one piece, and taken piece by piece while it is written.
  private func streamed(
    _ bytes: [UInt8], _ width: Int, _ height: Int, _ format: ColorChannels
  ) throws -> (whole: [UInt8], pieces: [UInt8]) {
    var writer = try PNGWriter(width: width, height: height, format: format)
    var taking = try PNGWriter(width: width, height: height, format: format)
    var pieces = taking.takeBytes()
    let stride = width * format.channels
    for y in 0..<height {
      let row = bytes[y * stride..<(y + 1) * stride]
      writer.write { _ = $0.update(fromContentsOf: row) }
      taking.write { _ = $0.update(fromContentsOf: row) }
      pieces += taking.takeBytes()
    }
    return (writer.finish(), pieces + taking.finish())
  }

  /// The byte of the header that says whether there is alpha.
  private func colorType(of file: [UInt8]) -> UInt8 { file[25] }

  /// The types of a file's chunks, whose checksums are right, and what they bring of the picture.
  private func chunks(of file: [UInt8]) -> (types: [String], packed: [UInt8]) {
    var (types, packed): ([String], [UInt8]) = ([], [])
    var position = 8
    while position < file.count {
      let length = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
      let type = String(decoding: file[position + 4..<position + 8], as: UTF8.self)
      let data = Array(file[position + 8..<position + 8 + length])
      #expect(PNG.chunk(type, data) == Array(file[position..<position + 12 + length]))
      types.append(type)
      if type == "IDAT" { packed += data }
      position += 12 + length
    }
    return (types, packed)
  }

  /// Adler-32 (RFC 1950) of rows with the filter Up, most significant byte first: what ends a
  /// stream of zlib's and libpng takes as a warning only.
  private func checksumOfRows(_ bytes: [UInt8], _ stride: Int) -> [UInt8] {
    var (a, b): (UInt32, UInt32) = (1, 0)
    for y in 0..<bytes.count / stride {
      for x in -1..<stride {
        let above = y > 0 && x >= 0 ? bytes[(y - 1) * stride + x] : 0
        a = (a + (x < 0 ? 2 : UInt32(bytes[y * stride + x] &- above))) % 65_521
        b = (b + a) % 65_521
      }
    }
    return PNG.bigEndian(b << 16 | a)
  }

  /// A quarter of the raw bytes: smooth colour is what pictures consist of.
  @Test func smoothPicturesAreSmall() throws {
    let bytes = (0..<128 * 128).flatMap { index -> [UInt8] in
      let (x, y) = (index % 128, index / 128)
      return [UInt8(x + y), UInt8((x * x) >> 8 + y), UInt8(x ^ y), 255]
    }
    let file = try PNG.encode(Pixels(width: 128, height: 128, bytes: bytes))
    #expect(file.count < 128 * 128)
  }

  @Test func textsAreStored() throws {
    let texts = [
      PNG.Text(keyword: "Software", text: "Banana"),
      PNG.Text(keyword: "Description", text: "café 🍌 \u{301}"), PNG.Text(keyword: "e", text: ""),
    ]
    let pixels = Pixels(width: 2, height: 2, filledWith: .white)
    let file = try PNG.encode(pixels, texts: texts)
    #expect(PNG.texts(in: file) == texts)
    #expect(try PNG.decode(file) == pixels)
    #expect(try PNG.texts(in: PNG.encode(pixels)).isEmpty)
  }

  @Test(arguments: ["", " a", "a ", "é", "a\0b", String(repeating: "k", count: 80)])
  func badKeywordsAreRefused(keyword: String) {
    #expect(throws: PNGError.invalidText(keyword: keyword)) {
      let pixels = Pixels(width: 1, height: 1, filledWith: .white)
      return try PNG.encode(pixels, texts: [PNG.Text(keyword: keyword, text: "x")])
    }
  }

  @Test func checksumMatchesTheStandard() {
    #expect(PNG.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
    #expect(PNG.chunk("IEND", []) == [0, 0, 0, 0, 73, 69, 78, 68, 0xAE, 0x42, 0x60, 0x82])
  }

  @Test func hugePicturesAreRefusedBeforeMemoryIsTaken() throws {
    let size: [UInt8] = [0, 15, 0, 0]
    var file = PNG.signature + PNG.chunk("IHDR", size + size + [8, 6, 0, 0, 0])
    file += PNG.chunk("IDAT", [0x78, 0x9C, 0x03, 0, 0, 0, 0, 1]) + PNG.chunk("IEND", [])
    #expect(throws: PNGError.tooLarge(width: 983_040, height: 983_040, maximumPixels: 4096 * 4096))
    {
      try PNG.decode(file)
    }
    let pixels = Pixels(width: 4, height: 4, filledWith: .white)
    #expect(throws: PNGError.tooLarge(width: 4, height: 4, maximumPixels: 15)) {
      try PNG.decode(PNG.encode(pixels), maximumPixels: 15)
    }
  }

  @Test func otherBytesAreRefused() {
    #expect(throws: PNGError.notPNG(.empty)) { try PNG.decode([]) }
    #expect(throws: PNGError.notPNG(.gif)) { try PNG.decode(Array("GIF89a".utf8)) }
    #expect(throws: PNGError.notPNG(nil)) { try PNG.decode([0, 1, 2, 3, 250]) }
    #expect(throws: PNGError.cutOff) { try PNG.decode(PNG.signature) }
  }

  /// 1.9 GB in 140 bytes, as the fuzzer found it, and a text of 1 MB in 1 KB.
  @Test func chunksTakeNoMoreMemoryThanTheyBring() throws {
    let pixels = Pixels(width: 2, height: 2, filledWith: .white)
    let file = try PNG.encode(pixels)
    let claim: [UInt8] = [0x74, 0, 0, 0] + Array("iTXt".utf8)
    #expect(throws: PNGError.cutOff) { try PNG.decode(file[..<33] + claim + file[33...]) }
    let bomb = PNG.chunk("zTXt", [UInt8](repeating: 0, count: 1000))
    let profile = PNG.chunk("iCCP", [UInt8](repeating: 0, count: 20_000))
    let crowded = Array(file[..<33] + bomb + profile + file[33...])
    let plain = file.without("sRGB")
    #expect(try PNG.picture(in: crowded).file == plain)
    #expect(try PNG.decode(crowded) == pixels)
    // What makes the pixels stays, and so does what a reader must know.
    for type in ["tRNS", "PLTE", "NEWX"] {
      let known = Array(plain[..<33] + PNG.chunk(type, [1]) + plain[33...])
      #expect(try PNG.picture(in: known).file == known)
    }
  }
}

extension [UInt8] {
  /// A PNG file without its chunks of a type.
  func without(_ type: String) -> [UInt8] {
    var kept = Array(prefix(8))
    var position = 8
    while position < count {
      let end = position + 12 + self[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
      if !self[(position + 4)...].starts(with: type.utf8) { kept += self[position..<end] }
      position = end
    }
    return kept
  }
}
