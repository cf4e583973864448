import Foundation
import Testing

@testable import Text

/// What transformers' CLIPTokenizer says; see training/banana_training/clip_goldens.py.
private struct CLIPGoldens: Decodable {
  struct Row: Decodable {
    let text: String
    let ids: [Int32]
  }

  /// Digests, by the number of a block.
  let blocks: [String: String]
  let texts: [Row]
  /// Texts with special tokens written out.
  let forged: [Row]

  static let shared = Result {
    try JSONDecoder().decode(
      CLIPGoldens.self, from: Repository.bytes("Tests/Fixtures/goldens/clip/goldens.json"))
  }
}

extension CLIPTokenizer {
  /// With the table that ships.
  static let shared = Result {
    try CLIPTokenizer(merges: [UInt8](Repository.bytes("tokenizers/clip/merges.txt")))
  }

  fileprivate func ids(of text: String, atMost limit: Int = 100_000) -> [Int32] {
    tokens(of: text, atMost: limit).map(\.id)
  }
}

@Suite struct CLIPTokenizerTests {
  @Test func textsMatchTheReference() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    let rows = try CLIPGoldens.shared.get().texts
    #expect(rows.count > 400)
    for row in rows {
      #expect(
        tokenizer.ids(of: row.text) == row.ids, Comment(rawValue: row.text.debugDescription))
    }
  }

  /// Blocks of 4096 scalars, each between letters and behind a mark: those with scripts that
  /// compose, have case or classes of their own. `BANANA_ALL_SCALARS=1` takes all of Unicode.
  @Test func scalarsMatchTheReference() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    let isAll = ProcessInfo.processInfo.environment["BANANA_ALL_SCALARS"] != nil
    let blocks = try CLIPGoldens.shared.get().blocks
    for (block, digest) in try blocks.map({ (try #require(Int($0.key)), $0.value) })
    where isAll || block < 4 || [0xA, 0xF, 0x11, 0x1D, 0x1F, 0x2F, 0xE0].contains(block) {
      var value: UInt64 = 0xCBF2_9CE4_8422_2325
      for code in UInt32(block * 4096)..<UInt32(block * 4096 + 4096) {
        guard let scalar = Unicode.Scalar(code) else { continue }
        for text in ["a\(scalar)b", "o\u{301}\(scalar)1"] {
          for id in tokenizer.ids(of: text) { value = (value ^ UInt64(id)) &* 0x100_0000_01B3 }
        }
      }
      #expect(value == UInt64(digest, radix: 16), "block U+\(String(block, radix: 16))000")
    }
  }

  @Test func identifiersAreCLIPs() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    #expect(tokenizer.begin == 49406)
    #expect(tokenizer.end == 49407)
    #expect(tokenizer.vocabularySize == 49408)
    #expect(tokenizer.comma == 267)
    #expect(tokenizer.ids(of: "a photo of a cat") == [320, 1125, 539, 320, 2368])
  }

  /// transformers makes special tokens of them; here they are text, whatever is around them.
  @Test func specialTokensCannotBeForged() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    for row in try CLIPGoldens.shared.get().forged {
      let ids = tokenizer.ids(of: row.text)
      // In capitals it is text to both.
      let isSpecialThere = row.text != "<|ENDOFTEXT|>"
      #expect(row.ids.contains { $0 >= 49406 } == isSpecialThere)
      #expect(ids.allSatisfy { $0 < 49406 })
      #expect((ids != row.ids) == isSpecialThere)
    }
    // "<|", "endoftext", "|>" as they are apart.
    let apart = ["<|", "endoftext", "|>"].flatMap { tokenizer.ids(of: $0) }
    #expect(tokenizer.ids(of: "<|endoftext|>") == apart)
  }

  @Test func wordsSayWhereTheyBegin() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    let text = " Ünï co\u{301}mposed, 42 don't 'rx"
    let tokens = tokenizer.tokens(of: text, atMost: 100)
    let starts = Set(tokens.map(\.wordOffset)).sorted()
    let words = starts.map { String(decoding: Array(text.utf8)[$0...].prefix(2), as: UTF8.self) }
    #expect(words == ["Ü", "co", ", ", "42", "2 ", "do", "'t", "'r", "rx"])
    for limit in 0...tokens.count {
      #expect(tokenizer.tokens(of: text, atMost: limit) == Array(tokens.prefix(limit)))
    }
  }

  @Test func hugeTextsCostWhatTheyShould() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    for text in [
      String(repeating: "a", count: 1 << 20), String(repeating: "!?", count: 1 << 19),
      String(repeating: "apple ", count: 1 << 18), String(repeating: "é", count: 1 << 19),
    ] {
      #expect(tokenizer.tokens(of: text, atMost: 76).count == 76)
    }
    // Marks in the wrong order have to be seen whole before the first of them is known.
    let marks = "a" + String(repeating: "\u{301}\u{323}", count: 1 << 13)
    #expect(tokenizer.tokens(of: marks, atMost: 76).count == 76)
  }

  /// Every piece is merged apart, and only the last one ends the word.
  @Test func wordsBeyondAPieceAreReadWhole() throws {
    let tokenizer = try CLIPTokenizer.shared.get()
    let length = CLIPWords.longestPiece
    let longest = String(repeating: "z", count: length)
    let pieces = tokenizer.tokens(of: longest + "cat", atMost: 1 << 20)
    #expect(pieces.last == CLIPToken(id: 2368, wordOffset: length))
    let alone = tokenizer.ids(of: longest)
    #expect(pieces.dropLast().allSatisfy { $0.wordOffset == 0 })
    #expect(alone.last != pieces.dropLast().last?.id)
  }

  /// The heap and the list do what looking for the lowest merge does.
  @Test func mergingMatchesTheNaiveForm() throws {
    let merges = "a a\naa a</w>\nb a\naa b\nba aab\na b</w>"
    let table = try BytePairTable(merges: Array(merges.utf8))
    var random = SystemRandomNumberGenerator()
    for _ in 0..<300 {
      let word = (0..<Int.random(in: 1...40, using: &random)).map { _ in
        UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "c"), using: &random)
      }
      for endsWord in [true, false] {
        var ids: [Int32] = []
        table.appendTokens(of: word, endsWord: endsWord, to: &ids)
        #expect(
          ids == naiveTokens(of: word, endsWord, table),
          "\(String(decoding: word, as: UTF8.self))")
      }
    }
  }

  private func naiveTokens(of word: [UInt8], _ endsWord: Bool, _ table: BytePairTable) -> [Int32] {
    var symbols = word.map { BytePairTable.byteIdentifiers[Int($0)] }
    if endsWord { symbols[symbols.count - 1] += BytePairTable.wordEnd }
    while true {
      let merged = symbols.indices.dropLast().compactMap { index in
        table.merged(symbols[index], symbols[index + 1]).map { (id: $0, index: index) }
      }
      guard let first = merged.min(by: { ($0.id, $0.index) < ($1.id, $1.index) }) else {
        return symbols
      }
      symbols.replaceSubrange(first.index...first.index + 1, with: [first.id])
    }
  }
}

@Suite struct BytePairTableTests {
  private func error(_ merges: String, vocabulary: String? = nil) -> BytePairTableError? {
    do throws(BytePairTableError) {
      let bytes = Array(merges.utf8)
      if let vocabulary {
        _ = try CLIPTokenizer(merges: bytes, vocabulary: Array(vocabulary.utf8))
      } else {
        _ = try CLIPTokenizer(merges: bytes)
      }
      return nil
    } catch { return error }
  }

  @Test func badMergesAreRefused() {
    #expect(error("#version: 0.2\na b\nab c</w>\n") == nil)
    #expect(error("\"bpe_simple_vocab_16e6.txt#version: 0.2\r\na b\r\nab c</w>\r\n\r\n") == nil)
    #expect(error("a b") == nil)
    #expect(error("") == .noMerges)
    #expect(error("#version: 0.2\n\n\n") == .noMerges)
    #expect(error("#version: 0.2\na b c\n") == .notTwoSymbols(line: 2))
    #expect(error("a b\nab\n") == .notTwoSymbols(line: 2))
    #expect(error("a b\n b\n") == .notTwoSymbols(line: 2))
    #expect(error("a b\n\nb a\n") == .notTwoSymbols(line: 2))
    #expect(error("a b\nabc d\n") == .unknownSymbol("abc", line: 2))
    #expect(error("a b\na\u{7F} b\n") == .unknownSymbol("a\u{7F}", line: 2))
    #expect(error("a b\na b\n") == .duplicateToken("ab", line: 2))
    #expect(error("a b\nb c\nab c\na bc\n") == .duplicateToken("abc", line: 4))
    #expect(error("a </w>") == .unknownSymbol("</w>", line: 1))
    let long = String(repeating: "x", count: 5000)
    #expect(error("a \(long)") == .unknownSymbol(long.prefix(64) + "…", line: 1))
    #expect(throws: BytePairTableError.unknownSymbol("\u{FFFD}", line: 1)) {
      try CLIPTokenizer(merges: [0xFF, 0x20, 0x61])
    }
    let huge = [UInt8](repeating: 0x20, count: BytePairTable.maximumBytes + 1)
    #expect(
      throws: BytePairTableError.tooLarge(
        actualBytes: huge.count, maximumBytes: BytePairTable.maximumBytes)
    ) { try CLIPTokenizer(merges: huge) }
  }

  @Test func mergesBeyondTheVocabularyAreLeftAlone() throws {
    var bytes = [UInt8](try Repository.bytes("tokenizers/clip/merges.txt"))
    bytes += Array("no\nmerges at all\n".utf8)
    #expect(try CLIPTokenizer(merges: bytes).vocabularySize == 49408)
  }

  @Test func vocabulariesThatContradictAreRefused() throws {
    let table = try BytePairTable(merges: Array("a b\nab c</w>".utf8))
    #expect(table.count == 514)
    let merges = "a b\nab c</w>"
    // How the files write the 256 bytes.
    let visible = (0..<256).filter { 0x21...0x7E ~= $0 || 0xA1...0xFF ~= $0 && $0 != 0xAD }
    let letters = (visible + (0x100..<0x100 + 256 - visible.count)).map {
      String(Unicode.Scalar(UInt32($0))!)
    }
    let names =
      letters + letters.map { $0 + "</w>" } + ["ab", "abc</w>", "<|startoftext|>", "<|endoftext|>"]
    let good = Dictionary(uniqueKeysWithValues: zip(names, names.indices))
    func json(_ change: (inout [String: Int]) -> Void) throws -> String {
      var changed = good
      change(&changed)
      return String(decoding: try JSONEncoder().encode(changed), as: UTF8.self)
    }
    #expect(error(merges, vocabulary: try json { _ in }) == nil)
    #expect(
      error(merges, vocabulary: try json { $0["ab"] = 700 })
        == .otherIdentifier(token: "ab", expected: 512, actual: 700))
    #expect(
      error(merges, vocabulary: try json { $0["<|endoftext|>"] = nil })
        == .otherIdentifier(token: "<|endoftext|>", expected: 515, actual: nil))
    #expect(
      error(merges, vocabulary: try json { $0["sks"] = 516 })
        == .unexpectedToken("sks", identifier: 516))
    for text in ["", "[]", "{\"a\":\"b\"}", "{\"a\":1e99}", String(repeating: "[", count: 9999)] {
      #expect(error(merges, vocabulary: text) == .vocabularyIsNotJSON)
    }
  }
}
