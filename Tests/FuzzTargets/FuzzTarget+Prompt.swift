import Text

extension FuzzTarget {
  /// Whole words, pieces, marks and scripts of a vocabulary as models have them.
  private static let vocabulary = """
    [PAD] [UNK] [CLS] [SEP] [MASK] a red apple app bl e an on s the cat ca c t é e\u{301} 中 国 の ト \
    한 ა ß ı i x 1 20 ! , . - ' " # ##a ##e ##le ##ple ##s ##t ##ted ##able ##ing ##1 ##0 ##é ##中 \
    ##の ##ß ##\u{301} ## ### ##x ##xx ##xxxx
    """.split(separator: " ").joined(separator: "\n")

  private static let tokenizers = [true, false].map { isLowercase in
    // The vocabulary stands above.
    // swift-format-ignore: NeverUseForceTry
    try! WordPieceTokenizer(vocabulary: Array(vocabulary.utf8), lowercase: isLowercase)
  }

  static func prompt(_ input: [UInt8]) throws(Violation) {
    guard let first = input.first else { return }
    let tokenizer = tokenizers[Int(first & 1)]
    let limit = 2 + Int(first >> 1)
    let text = String(decoding: input.dropFirst(), as: UTF8.self)
    let spelled = EmojiNames.spelledOut(text)
    // The longest names are of couples whose both halves have skin tones.
    try expect(spelled.utf8.count <= 100 * text.utf8.count, "names are longer than that")
    try expect(EmojiNames.spelledOut(spelled) == spelled, "a name has an emoji in it")
    let tokens = tokenizer.encode(text, maximumTokens: limit)
    try expect((2...limit).contains(tokens.ids.count), "the number of tokens")
    try expect(tokens.ids.first == 2 && tokens.ids.last == 3, "the ends")
    try expect(
      tokens.ids.dropFirst().dropLast().allSatisfy {
        $0 == 1 || (5..<Int32(tokenizer.vocabularySize)).contains($0)
      }, "a token that no text has")
    let whole = tokenizer.encode(text, maximumTokens: 1 << 20)
    try expect(!whole.truncated, "a text is cut without need")
    try expect(tokens.truncated == (whole.ids.count > limit), "what is said of the cut")
    try expect(
      tokens.ids.dropLast() == whole.ids.prefix(tokens.ids.count - 1), "a cut text begins otherwise"
    )
    try chunks(text, maximumChunks: 1 + Int(first & 3))
  }

  /// Merges as CLIP's table has them.
  private static let pairs = """
    a n
    r e
    re d</w>
    t h
    th e</w>
    an d</w>
    Ã ©</w>
    ' s</w>
    , ,
    """

  private static let pairTokenizer = {
    // The merges stand above.
    // swift-format-ignore: NeverUseForceTry
    try! CLIPTokenizer(merges: Array(pairs.utf8))
  }()

  /// A prompt with weights, in chunks of tokens.
  private static func chunks(_ text: String, maximumChunks: Int) throws(Violation) {
    let prompt = WeightedPrompt(parsing: text)
    var kept = 0
    for case .text(let part, let weight) in prompt.parts {
      try expect(abs(weight) <= WeightedPrompt.largestWeight, "a weight of \(weight)")
      kept += part.utf8.count
    }
    try expect(kept <= text.utf8.count, "a prompt is longer than it was written")
    let cut = PromptChunks(
      prompt, tokenizer: pairTokenizer, padding: 0, maximumChunks: maximumChunks)
    try expect((1...maximumChunks).contains(cut.chunks.count), "the number of chunks")
    for chunk in cut.chunks {
      try expect(chunk.ids.count == 77 && chunk.weights.count == 77, "a chunk's length")
      try expect(chunk.ids.count { $0 >= pairTokenizer.begin } == 2, "a token that no text has")
    }
    let whole = PromptChunks(prompt, tokenizer: pairTokenizer, padding: 0, maximumChunks: 1 << 20)
    try expect(whole.omittedText == nil, "a prompt is cut without need")
    try expect(whole.chunks.starts(with: cut.chunks), "a cut prompt begins otherwise")
    try expect((cut.omittedText != nil) == (whole.chunks != cut.chunks), "what is said of the cut")
    try embeddings(prompt, text, maximumChunks: maximumChunks)
    let omitted = cut.omittedText ?? ""
    try expect(omitted.utf8.count <= kept + 7 * text.utf8.count, "the rest's length")
  }

  /// Words of several vectors stay whole, wherever they stand.
  private static func embeddings(
    _ prompt: WeightedPrompt, _ text: String, maximumChunks: Int
  ) throws(Violation) {
    let words = PromptWords([
      .init(name: "a", token: "<the>", count: 75), .init(name: "an-d", count: 3),
    ])
    let bytes = text.utf8.count
    for match in words.matches(in: text) {
      try expect(0...bytes ~= match.range.upperBound && !match.range.isEmpty, "a place of a word")
    }
    let read = PromptChunks(
      prompt, tokenizer: pairTokenizer, padding: 0, maximumChunks: maximumChunks, words: words)
    try expect((1...maximumChunks).contains(read.chunks.count), "the number of chunks")
    let size = Int32(pairTokenizer.vocabularySize)
    for chunk in read.chunks {
      try expect(chunk.ids.count == 77 && chunk.weights.count == 77, "a chunk's length")
      let vectors = chunk.ids.filter { $0 >= size }.map { $0 - size }
      try expect(vectors.allSatisfy { $0 < 78 }, "a vector that there is not")
      try expect(vectors.count { $0 == 0 } == vectors.count { $0 == 74 }, "a word is split")
      try expect(vectors.count { $0 == 75 } == vectors.count { $0 == 77 }, "a word is split")
    }
  }

  /// Reads a table, and a text with it.
  static func merges(_ input: [UInt8]) throws(Violation) {
    let tokenizer: CLIPTokenizer
    do throws(BytePairTableError) {
      tokenizer = try CLIPTokenizer(merges: input)
    } catch { return try expectText(error) }
    let text = String(decoding: input, as: UTF8.self)
    let tokens = tokenizer.tokens(of: text, atMost: .max)
    // Composing makes three scalars of one at most.
    try expect(tokens.count <= 3 * text.utf8.count, "more tokens than bytes")
    try expect(tokens.allSatisfy { 0..<tokenizer.begin ~= $0.id }, "a token that no text has")
    let places = tokens.map(\.wordOffset) + [text.utf8.count]
    try expect(zip(places, places.dropFirst()).allSatisfy { $0 <= $1 }, "words out of order")
  }
}
