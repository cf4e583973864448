/// A prompt as a text network of 77 tokens reads it: chunk by chunk, a weight for each token.
///
/// The chunks are those of AUTOMATIC1111's web UI (`tokenize_line` in its sd_hijack_clip.py): 75
/// tokens each, between one that begins and one that ends it. Where a chunk is full and has a comma
/// among its last 20 tokens, what stands behind the comma goes into the next one. A break fills up
/// its chunk. Texts of different weight are split into words apart from one another. A word that
/// stands for several vectors is not split: where it does not fit, it begins a chunk.
package struct PromptChunks: Equatable, Sendable {
  package struct Chunk: Equatable, Sendable {
    /// `[77]`: the begin, at most 75 tokens, the end, and padding. Behind the vocabulary's, all
    /// vectors of words that stand for some, in their order.
    package let ids: [Int32]
    /// `[77]`: the tokens' weights; 1 for the begin, the end and padding.
    package let weights: [Float]
  }

  /// The tokens of a chunk between its begin and its end.
  package static let tokensPerChunk = 75
  /// How far before a full chunk's end a comma is looked for, in tokens.
  package static let commaReach = 20

  /// At least one; that of an empty prompt has no tokens.
  package let chunks: [Chunk]
  /// What did not fit: the prompt from the first word that is not there in whole, its syntax taken
  /// away. Nil when everything did; empty when only breaks did not.
  package let omittedText: String?

  /// - Parameters:
  ///   - padding: The token that fills up a chunk: `tokenizer.end` for CLIP's own text networks, 0
  ///     for OpenCLIP's.
  ///   - maximumChunks: How many chunks there may be, at least 1. What is behind them costs no
  ///     tokens.
  ///   - words: Those that stand for vectors, at most 75 each.
  package init(
    _ prompt: WeightedPrompt, tokenizer: CLIPTokenizer, padding: Int32, maximumChunks: Int,
    words: PromptWords = PromptWords()
  ) {
    precondition(maximumChunks >= 1, "an empty prompt has a chunk too")
    precondition(words.words.allSatisfy { 1...Self.tokensPerChunk ~= $0.count })
    var builder = ChunkBuilder(
      tokenizer: tokenizer, padding: padding, maximumChunks: maximumChunks, words: words)
    var omitted: ChunkBuilder.Place?
    for (index, part) in prompt.parts.enumerated() {
      omitted = builder.append(part, number: index)
      if omitted != nil { break }
    }
    chunks = builder.finish()
    omittedText = omitted.map { Self.text(of: prompt, from: $0) }
  }

  private static func text(of prompt: WeightedPrompt, from place: ChunkBuilder.Place) -> String {
    var text = ""
    for (index, part) in prompt.parts.enumerated().dropFirst(place.part) {
      switch part {
      case .text(let whole, _):
        text += index == place.part ? String(Substring(whole.utf8.dropFirst(place.offset))) : whole
      case .chunkBreak: if !text.isEmpty { text += " BREAK " }
      }
    }
    return text
  }
}

private struct ChunkBuilder {
  /// A place in a prompt: the number of a part, and bytes within it.
  struct Place {
    let part: Int
    let offset: Int
  }

  private struct Token {
    let id: Int32
    let weight: Float
    let place: Place
  }

  private let tokenizer: CLIPTokenizer
  private let padding: Int32
  private let maximumChunks: Int
  private let words: PromptWords
  private var chunks: [PromptChunks.Chunk] = []
  private var tokens: [Token] = []
  private var lastComma: Int?

  init(tokenizer: CLIPTokenizer, padding: Int32, maximumChunks: Int, words: PromptWords) {
    self.words = words
    self.tokenizer = tokenizer
    self.padding = padding
    self.maximumChunks = maximumChunks
  }

  /// Appends a part, and gives where what did not fit begins.
  mutating func append(_ part: WeightedPrompt.Part, number: Int) -> Place? {
    switch part {
    case .text(let text, let weight):
      var rest = Place(part: number, offset: 0)
      for match in words.words.isEmpty ? [] : words.matches(in: text) {
        guard let word = match.word else { continue }
        let place = Place(part: number, offset: match.range.lowerBound)
        let omitted =
          append(text, from: rest, to: place.offset, Float(weight))
          ?? append(word: word, Float(weight), place)
        if omitted != nil { return omitted }
        rest = Place(part: number, offset: match.range.upperBound)
      }
      return append(text, from: rest, to: text.utf8.count, Float(weight))
    case .chunkBreak:
      if chunks.count == maximumChunks { return Place(part: number, offset: 0) }
      finishChunk(keeping: tokens.count)
    }
    return nil
  }

  /// Appends a piece of a part that has no word of vectors.
  private mutating func append(
    _ text: String, from start: Place, to end: Int, _ weight: Float
  ) -> Place? {
    let piece =
      start.offset == 0 && end == text.utf8.count
      ? text : String(Substring(text.utf8.prefix(end).dropFirst(start.offset)))
    let free = (maximumChunks - chunks.count) * PromptChunks.tokensPerChunk - tokens.count
    for token in tokenizer.tokens(of: piece, atMost: free + 1) {
      let omitted = append(
        Token(
          id: token.id, weight: weight,
          place: Place(part: start.part, offset: start.offset + token.wordOffset)))
      if omitted != nil { return omitted }
    }
    return nil
  }

  private mutating func append(word: Int, _ weight: Float, _ place: Place) -> Place? {
    let count = words.words[word].count
    if tokens.count + count > PromptChunks.tokensPerChunk { finishChunk(keeping: tokens.count) }
    if chunks.count == maximumChunks { return place }
    let first = tokenizer.vocabularySize + words.firsts[word]
    tokens += (first..<first + count).map {
      Token(id: Int32($0), weight: weight, place: place)
    }
    return nil
  }

  private mutating func append(_ token: Token) -> Place? {
    let isFull = tokens.count == PromptChunks.tokensPerChunk
    if token.id == tokenizer.comma {
      if isFull { finishChunk(keeping: tokens.count) } else { lastComma = tokens.count }
    } else if isFull {
      let comma = lastComma.flatMap {
        tokens.count - $0 <= PromptChunks.commaReach ? $0 + 1 : nil
      }
      finishChunk(keeping: comma ?? tokens.count)
    }
    if chunks.count == maximumChunks {
      defer { tokens.removeAll() }
      return tokens.first?.place ?? token.place
    }
    tokens.append(token)
    return nil
  }

  /// Makes a chunk of the first `count` tokens; the others begin the next.
  private mutating func finishChunk(keeping count: Int) {
    let missing = PromptChunks.tokensPerChunk - count
    let kept = tokens.prefix(count)
    chunks.append(
      PromptChunks.Chunk(
        ids: [tokenizer.begin] + kept.map(\.id) + [tokenizer.end]
          + Array(repeating: padding, count: missing),
        weights: [1] + kept.map(\.weight) + Array(repeating: 1, count: missing + 1)))
    tokens.removeFirst(count)
    lastComma = nil
  }

  /// The chunks, at least one, with what has come last.
  mutating func finish() -> [PromptChunks.Chunk] {
    if !tokens.isEmpty || chunks.isEmpty { finishChunk(keeping: tokens.count) }
    return chunks
  }
}
