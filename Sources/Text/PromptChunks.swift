/// A prompt as a text network of 77 tokens reads it: chunk by chunk, a weight for each token.
///
/// The chunks are those of AUTOMATIC1111's web UI (`tokenize_line` in its sd_hijack_clip.py): 75
/// tokens each, between one that begins and one that ends it. Where a chunk is full and has a comma
/// among its last 20 tokens, what stands behind the comma goes into the next one. A break fills up
/// its chunk. Texts of different weight are split into words apart from one another.
package struct PromptChunks: Equatable, Sendable {
  package struct Chunk: Equatable, Sendable {
    /// `[77]`: the begin, at most 75 tokens, the end, and padding.
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
  package init(
    _ prompt: WeightedPrompt, tokenizer: CLIPTokenizer, padding: Int32, maximumChunks: Int
  ) {
    precondition(maximumChunks >= 1, "an empty prompt has a chunk too")
    var builder = ChunkBuilder(
      tokenizer: tokenizer, padding: padding, maximumChunks: maximumChunks)
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
  private var chunks: [PromptChunks.Chunk] = []
  private var tokens: [Token] = []
  private var lastComma: Int?

  init(tokenizer: CLIPTokenizer, padding: Int32, maximumChunks: Int) {
    self.tokenizer = tokenizer
    self.padding = padding
    self.maximumChunks = maximumChunks
  }

  /// Appends a part, and gives where what did not fit begins.
  mutating func append(_ part: WeightedPrompt.Part, number: Int) -> Place? {
    switch part {
    case .text(let text, let weight):
      let free = (maximumChunks - chunks.count) * PromptChunks.tokensPerChunk - tokens.count
      for token in tokenizer.tokens(of: text, atMost: free + 1) {
        let omitted = append(
          Token(
            id: token.id, weight: Float(weight),
            place: Place(part: number, offset: token.wordOffset)))
        if omitted != nil { return omitted }
      }
    case .chunkBreak:
      if chunks.count == maximumChunks { return Place(part: number, offset: 0) }
      finishChunk(keeping: tokens.count)
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
