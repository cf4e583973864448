import Testing

@testable import Text

/// Words that stand for vectors: where prompts have them, and what becomes of them in chunks.
@Suite struct PromptWordsTests {
  private static let words = PromptWords([
    .init(name: "bad", count: 1), .init(name: "bad-hands-5", count: 4),
    .init(name: "cat-toy", token: "<Toy>", count: 2),
  ])

  private func found(_ text: String) -> [String] {
    Self.words.matches(in: text).map { match in
      let bytes = Array(text.utf8)[match.range]
      let name = match.word.map { "\($0)" } ?? "?\(match.name)"
      return "\(name)\(match.isExplicit ? "!" : "") \(String(decoding: bytes, as: UTF8.self))"
    }
  }

  @Test(
    arguments: [
      ("a bad cat", ["0 bad"]), ("BAD, (bad:1.2)", ["0 BAD", "0 bad"]), ("badly", []),
      ("not_bad", []), ("2bad", []), ("bad2", []), ("ébad badé", []), ("，bad。", ["0 bad"]),
      ("bad-hands-5.", ["1 bad-hands-5"]), ("bad-hands", ["0 bad"]), ("bad-hands-51", ["0 bad"]),
      ("embedding:bad", ["0! embedding:bad"]),
      ("(Embedding:Bad-hands-5.safetensors:0.8)", ["1! Embedding:Bad-hands-5.safetensors"]),
      ("embedding:easy_one.pt x", ["?easy_one.pt! embedding:easy_one.pt"]),
      ("embedding: bad", ["0 bad"]), ("an embedding:", []), ("xembedding:bad", ["0 bad"]),
      ("<bad> <BAD>", ["0! <bad>", "0! <BAD>"]),
      ("a <toy> <cat-toy>", ["2! <toy>", "2! <cat-toy>"]),
      ("toy", []), ("<3 bad", ["0 bad"]), ("<bad", ["0 bad"]), ("", []),
    ] as [(String, [String])])
  func areFound(text: String, expected: [String]) {
    #expect(found(text) == expected)
  }

  private static let tokenizer = {
    // The merges stand here.
    // swift-format-ignore: NeverUseForceTry
    try! CLIPTokenizer(merges: Array("#version: 0.2\nt h\nth e</w>\n".utf8))
  }()

  private func chunks(_ prompt: String, most: Int = 4) -> PromptChunks {
    PromptChunks(
      WeightedPrompt(parsing: prompt), tokenizer: Self.tokenizer, padding: 0, maximumChunks: most,
      words: Self.words)
  }

  private func vectors(_ chunk: PromptChunks.Chunk) -> [Int: Int32] {
    let size = Int32(Self.tokenizer.vocabularySize)
    return Dictionary(
      uniqueKeysWithValues: chunk.ids.enumerated().filter { $1 >= size }.map { ($0, $1 - size) })
  }

  @Test func takeAsManyTokensAsTheyHaveVectors() {
    let read = chunks("the (bad-hands-5:0.5) the <Toy>, bad")
    #expect(read.chunks.count == 1 && read.omittedText == nil)
    // The begin, "the", four, "the", two, the comma, one.
    #expect(vectors(read.chunks[0]) == [2: 1, 3: 2, 4: 3, 5: 4, 7: 5, 8: 6, 10: 0])
    #expect(Array(read.chunks[0].weights[1...7]) == [1, 0.5, 0.5, 0.5, 0.5, 1, 1])
    #expect(read.chunks[0].ids[1] == read.chunks[0].ids[6])
    // Without them, nothing is another word than it was.
    let plain = PromptChunks(
      WeightedPrompt(parsing: "the  bad"), tokenizer: Self.tokenizer, padding: 0, maximumChunks: 1)
    #expect(plain.chunks[0].ids.allSatisfy { $0 < Self.tokenizer.vocabularySize })
  }

  @Test func areNotSplitBetweenChunks() {
    let before = String(repeating: "the ", count: 72)
    let read = chunks(before + "bad-hands-5 the")
    #expect(read.chunks.count == 2)
    #expect(vectors(read.chunks[0]) == [:])
    #expect(vectors(read.chunks[1]) == [1: 1, 2: 2, 3: 3, 4: 4])
    let whole = chunks(before.dropLast(4) + "bad-hands-5 the")
    #expect(vectors(whole.chunks[0]) == [72: 1, 73: 2, 74: 3, 75: 4])
    #expect(whole.chunks.count == 2 && vectors(whole.chunks[1]) == [:])
    let cut = chunks(before + "bad-hands-5 the", most: 1)
    #expect(cut.chunks == [read.chunks[0]] && cut.omittedText == "bad-hands-5 the")
    let late = chunks(before + "bad the the the", most: 1)
    #expect(late.omittedText == "the" && vectors(late.chunks[0]) == [73: 0])
  }
}
