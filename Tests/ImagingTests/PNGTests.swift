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
