import Testing

@testable import Text

@Suite struct PromptChunksTests {
  private func chunks(
    _ prompt: String, padding: Int32 = 49407, maximumChunks: Int = 8
  ) throws -> PromptChunks {
    PromptChunks(
      WeightedPrompt(parsing: prompt), tokenizer: try CLIPTokenizer.shared.get(),
      padding: padding, maximumChunks: maximumChunks)
  }

  /// The tokens between the begin and the end, of each chunk.
  private func contents(_ chunks: PromptChunks) -> [[Int32]] {
    chunks.chunks.map { Array($0.ids.dropFirst().prefix { $0 != 49407 }) }
  }

  private func words(_ count: Int) -> String {
    Array(repeating: "cat", count: count).joined(separator: " ")
  }

  @Test func aChunkIsBeginTokensEndAndPadding() throws {
    let chunks = try chunks("a (red:1.5) cat")
    #expect(chunks.chunks.count == 1)
    #expect(chunks.omittedText == nil)
    #expect(
      chunks.chunks[0].ids == [49406, 320, 736, 2368, 49407] + Array(repeating: 49407, count: 72))
    #expect(chunks.chunks[0].weights == [1, 1, 1.5] + Array(repeating: 1, count: 74))
    let open = try self.chunks("a (red:1.5) cat", padding: 0)
    #expect(open.chunks[0].ids == [49406, 320, 736, 2368, 49407] + Array(repeating: 0, count: 72))
    #expect(open.chunks[0].weights == chunks.chunks[0].weights)
  }

  @Test func anEmptyPromptHasAChunk() throws {
    for prompt in ["", " ", "()", "( )"] {
      let chunks = try chunks(prompt)
      #expect(chunks.chunks.map(\.ids) == [[49406] + Array(repeating: 49407, count: 76)])
      #expect(chunks.omittedText == nil)
    }
  }

  @Test func longPromptsGoOnInTheNextChunk() throws {
    for (count, sizes) in [
      (74, [74]), (75, [75]), (76, [75, 1]), (150, [75, 75]), (151, [75, 75, 1]),
    ] {
      let chunks = try chunks(words(count))
      #expect(contents(chunks).map(\.count) == sizes)
      #expect(chunks.chunks.allSatisfy { $0.ids.count == 77 && $0.weights.count == 77 })
    }
  }

  /// The 76th token sees whether there was a comma among the last 20.
  @Test func aFullChunkEndsBehindItsLastComma() throws {
    for (before, sizes) in [
      (54, [75, 6]), (55, [56, 25]), (73, [74, 7]), (74, [75, 6]), (75, [75, 6]),
    ] {
      let prompt = words(before) + ", " + words(80 - before)
      #expect(contents(try chunks(prompt)).map(\.count) == sizes, "\(before)")
    }
    // The last comma counts, and it is forgotten with its chunk.
    let two = try chunks(words(56) + ", " + words(3) + ", " + words(100))
    #expect(contents(two).map(\.count) == [61, 75, 25])
    #expect(contents(two)[0].last == 267)
    // Weights move with their tokens.
    let weighted = try chunks(words(60) + ", (" + words(30) + ":1.5)")
    #expect(contents(weighted).map(\.count) == [61, 30])
    #expect(
      weighted.chunks[1].weights == [1] + Array(repeating: 1.5, count: 30)
        + Array(repeating: 1, count: 46))
    #expect(weighted.chunks[0].weights == Array(repeating: 1, count: 77))
  }

  @Test func aBreakFillsUpItsChunk() throws {
    #expect(contents(try chunks("cat BREAK a cat")) == [[2368], [320, 2368]])
    #expect(contents(try chunks("cat BREAK")) == [[2368]])
    #expect(contents(try chunks("BREAK cat")) == [[], [2368]])
    #expect(contents(try chunks(words(75) + " BREAK cat")).map(\.count) == [75, 1])
    // A comma before a break draws nothing behind it.
    let broken = try chunks(words(60) + ", BREAK " + words(76))
    #expect(contents(broken).map(\.count) == [61, 75, 1])
  }

  @Test func whatDoesNotFitIsSaid() throws {
    let cut = try chunks(words(75) + " (red [dog]) BREAK \\(x\\)", maximumChunks: 1)
    #expect(contents(cut).map(\.count) == [75])
    #expect(cut.omittedText == "red dog BREAK (x)")
    #expect(try chunks(words(75), maximumChunks: 1).omittedText == nil)
    #expect(try chunks(words(150) + " dog", maximumChunks: 2).omittedText == "dog")
    // What moved behind a comma is left out as well.
    let moved = try chunks(words(60) + ", " + words(14) + " dog", maximumChunks: 1)
    #expect(contents(moved).map(\.count) == [61])
    #expect(moved.omittedText == words(14) + " dog")
    // From the beginning of a word that is not whole.
    let word = try chunks(words(74) + " antidisestablishmentarianism x", maximumChunks: 1)
    #expect(word.omittedText == "antidisestablishmentarianism x")
    #expect(try chunks("cat BREAK dog BREAK", maximumChunks: 1).omittedText == "dog BREAK ")
    #expect(try chunks("cat BREAK", maximumChunks: 1).omittedText == nil)
    #expect(try chunks("cat BREAK BREAK", maximumChunks: 1).omittedText == "")
    #expect(try chunks("cat BREAK ( )", maximumChunks: 1).omittedText == nil)
  }

  @Test func hugePromptsCostWhatTheirChunksCost() throws {
    for piece in ["cat ", "cat, ", "(cat)", "(cat:1.2) dog ", "BREAK ", "a"] {
      let chunks = try chunks(String(repeating: piece, count: 1 << 14), maximumChunks: 4)
      #expect(chunks.chunks.count == 4)
      #expect(chunks.omittedText != nil)
    }
  }
}
