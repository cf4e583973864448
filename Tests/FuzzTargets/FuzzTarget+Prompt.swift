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
  }
}
