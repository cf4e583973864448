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
    #expect(throws: PNGError.notPNG) { try PNG.decode([]) }
    #expect(throws: PNGError.notPNG) { try PNG.decode(Array("GIF89a".utf8)) }
    #expect(throws: PNGError.self) { try PNG.decode(PNG.signature) }
  }

  /// Damaged files are read or refused, and never bring the process down.
  @Test(arguments: UInt64(0)..<8) func damagedFiles(seed: UInt64) throws {
    var random = SplitMix64(state: seed)
    let pixels = randomPixels(width: 9, height: 7, using: &random)
    let valid = try PNG.encode(pixels, texts: [PNG.Text(keyword: "a", text: "text")])
    var refused = 0
    for _ in 0..<100 {
      var file = valid
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let position = Int.random(in: 0..<file.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: file[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: file[position] = UInt8.random(in: 0...255, using: &random)
        case 2: file.removeSubrange(position...)
        case 3: file.insert(contentsOf: file.suffix(from: position), at: position)
        default:
          // A sound checksum over a changed header reaches the code behind the checksum.
          guard file.count > 33 else { break }
          file[16 + position % 13] ^= UInt8.random(in: 0...255, using: &random)
          let body = Array(file[16..<29])
          file.replaceSubrange(8..<33, with: PNG.chunk("IHDR", body))
        }
        if file.isEmpty { break }
      }
      _ = PNG.texts(in: file)
      do throws(PNGError) {
        let read = try PNG.decode(file, maximumPixels: 1 << 16)
        #expect(read.bytes.count == read.width * read.height * 4)
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(refused > 20, "seed \(seed)")
  }
}
