import Foundation
import Testing

@testable import Text

/// Files of the repository that tests read.
enum Repository {
  static func bytes(_ path: String) throws -> Data {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    return try Data(contentsOf: root.appending(path: path))
  }
}

/// What the reference tokenizer says; see Tests/Fixtures/text/make_goldens.py.
struct Goldens: Decodable {
  struct Row: Decodable {
    let text: String
    let ids: [Int32]
    let casedIds: [Int32]
  }

  let blocks: [String]
  let texts: [Row]

  static let shared = Result {
    try JSONDecoder().decode(
      Goldens.self, from: Repository.bytes("Tests/Fixtures/text/wordpiece.json"))
  }
}

/// The tokenizers of the model that ships.
struct Tokenizers {
  let uncased: WordPieceTokenizer
  let cased: WordPieceTokenizer

  static let shared = Result {
    let vocabulary = [UInt8](try Repository.bytes("models/sticker/vocab.txt"))
    return Tokenizers(
      uncased: try WordPieceTokenizer(vocabulary: vocabulary, lowercase: true),
      cased: try WordPieceTokenizer(vocabulary: vocabulary, lowercase: false))
  }
}

@Suite struct WordPieceTests {
  @Test func textsMatchTheReference() throws {
    let tokenizers = try Tokenizers.shared.get()
    for row in try Goldens.shared.get().texts {
      let name = Comment(rawValue: row.text.debugDescription)
      #expect(tokenizers.uncased.encode(row.text, maximumTokens: 100_000).ids == row.ids, name)
      #expect(tokenizers.cased.encode(row.text, maximumTokens: 100_000).ids == row.casedIds, name)
    }
  }

  /// Blocks of 4096 scalars: all that hold letters of the vocabulary, and a few of the others.
  /// `BANANA_ALL_SCALARS=1` takes all of Unicode.
  @Test func scalarsMatchTheReference() throws {
    let tokenizer = try Tokenizers.shared.get().uncased
    let isAll = ProcessInfo.processInfo.environment["BANANA_ALL_SCALARS"] != nil
    for (block, digest) in try Goldens.shared.get().blocks.enumerated()
    where isAll || block < 4 || [0xA, 0xF, 0x1D, 0x1E, 0x1F, 0x2F, 0xE0].contains(block) {
      var value: UInt64 = 0xCBF2_9CE4_8422_2325
      for code in UInt32(block * 4096)..<UInt32(block * 4096 + 4096) {
        guard let scalar = Unicode.Scalar(code) else { continue }
        for id in tokenizer.encode("a\(scalar)b", maximumTokens: 16).ids.dropFirst().dropLast() {
          value = (value ^ UInt64(id)) &* 0x100_0000_01B3
        }
      }
      #expect(value == UInt64(digest, radix: 16), "block U+\(String(block, radix: 16))000")
    }
  }

  @Test func truncationKeepsTheLastSeparator() throws {
    let tokenizer = try Tokenizers.shared.get().uncased
    let long = tokenizer.encode("red apple on a table", maximumTokens: 5)
    #expect(long.ids == [101, 2417, 6207, 2006, 102])
    #expect(long.truncated)
    let fitting = tokenizer.encode("red apple on", maximumTokens: 5)
    #expect(fitting.ids == long.ids)
    #expect(!fitting.truncated)
    #expect(tokenizer.encode("red", maximumTokens: 2).ids == [101, 102])
    #expect(
      tokenizer.encode("", maximumTokens: 64) == TokenizedText(ids: [101, 102], truncated: false))
  }

  @Test func specialTokensCannotBeForged() throws {
    let tokenizer = try Tokenizers.shared.get().uncased
    let ids = tokenizer.encode("[SEP] [CLS] [UNK] [MASK] [PAD]", maximumTokens: 64).ids
    #expect(!ids.dropFirst().dropLast().contains { [0, 100, 101, 102, 103].contains($0) })
  }

  @Test func longTextsCostWhatTheyShould() throws {
    let tokenizer = try Tokenizers.shared.get().uncased
    let clock = ContinuousClock()
    for text in [
      String(repeating: "a", count: 1 << 18), String(repeating: "\u{301}", count: 1 << 17),
      "a" + String(repeating: "\u{302E}", count: 1 << 14),
      String(repeating: "apple ", count: 1 << 18),
    ] {
      let time = clock.measure { _ = tokenizer.encode(text, maximumTokens: 64) }
      #expect(time < .seconds(20))
    }
  }

  @Test func badVocabulariesAreRefused() {
    func error(_ text: String) -> VocabularyError? {
      do throws(VocabularyError) {
        _ = try WordPieceTokenizer(vocabulary: Array(text.utf8), lowercase: true)
        return nil
      } catch { return error }
    }
    #expect(error("[UNK]\n[CLS]\n[SEP]\n") == nil)
    #expect(error("[UNK]\r\n[CLS]\r\n[SEP]") == nil)
    #expect(error("") == .missingToken("[UNK]"))
    #expect(error("[UNK]\n[CLS]\n") == .missingToken("[SEP]"))
    #expect(error("[UNK]\na\n[CLS]\na\n[SEP]") == .duplicateToken("a", line: 4))
    #expect(error("[UNK]\n\n[CLS]\n[SEP]") == .emptyToken(line: 2))
    #expect(throws: VocabularyError.invalidUTF8) {
      try WordPieceTokenizer(vocabulary: [0x5B, 0xFF, 0x0A], lowercase: true)
    }
  }
}
