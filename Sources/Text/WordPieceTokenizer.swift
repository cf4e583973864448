/// A text as the identifiers of its tokens.
package struct TokenizedText: Equatable, Sendable {
  /// `[token]`: `[CLS]`, the pieces, `[SEP]`.
  package let ids: [Int32]
  /// Whether pieces were left out because there were more than fit.
  package let truncated: Bool
}

/// BERT's tokenizer: words by whitespace and punctuation, then the longest known pieces of each.
///
/// Special tokens written out in a text are text like any other: a prompt cannot forge one.
/// Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1 (WordPiece).
package struct WordPieceTokenizer: Sendable {
  /// Words of more Unicode scalars than this are unknown.
  package static let longestWord = 100

  private let vocabulary: Vocabulary
  private let lowercase: Bool
  private let unknown: Int32
  private let start: Int32
  private let end: Int32

  /// - Parameters:
  ///   - vocabulary: The bytes of `vocab.txt`: one token a line, its identifier the line's number
  ///     from 0, continuations of a word marked with `##`.
  ///   - lowercase: Whether case and accents are dropped, as in the uncased models.
  /// - Throws: `VocabularyError` if it is not UTF-8, has empty or repeated lines, or lacks one of
  ///   `[UNK]`, `[CLS]` and `[SEP]`.
  package init(vocabulary: [UInt8], lowercase: Bool) throws(VocabularyError) {
    self.vocabulary = try Vocabulary(vocabulary)
    self.lowercase = lowercase
    unknown = try Self.special("[UNK]", self.vocabulary)
    start = try Self.special("[CLS]", self.vocabulary)
    end = try Self.special("[SEP]", self.vocabulary)
  }

  private static func special(
    _ token: String, _ vocabulary: Vocabulary
  ) throws(VocabularyError) -> Int32 {
    guard let id = vocabulary.identifier(of: token) else { throw .missingToken(token) }
    return id
  }

  /// The number of tokens that there are; identifiers are smaller.
  package var vocabularySize: Int { vocabulary.count }

  /// The tokens of `text`, at most `maximumTokens` of them with `[CLS]` and `[SEP]`.
  /// - Precondition: `maximumTokens` is at least 2.
  package func encode(_ text: String, maximumTokens: Int) -> TokenizedText {
    precondition(maximumTokens >= 2, "[CLS] and [SEP] always have to fit")
    var ids = [start]
    var truncated = false
    BasicTokenizer.forEachWord(
      of: text, lowercase: lowercase, longestWord: Self.longestWord
    ) { word in
      appendPieces(of: word, to: &ids)
      // Nothing behind the limit is looked at, so a huge text costs no more than a long one.
      truncated = ids.count > maximumTokens - 1
      return !truncated
    }
    if truncated { ids.removeSubrange((maximumTokens - 1)...) }
    ids.append(end)
    return TokenizedText(ids: ids, truncated: truncated)
  }

  /// Whether there is a word in `text` that the vocabulary has, in whole or in pieces; punctuation
  /// is none.
  package func knowsWord(in text: String) -> Bool {
    var isKnown = false
    BasicTokenizer.forEachWord(
      of: text, lowercase: lowercase, longestWord: Self.longestWord
    ) { word in
      if word.count == 1, UnicodeTables.punctuationSet.contains(word[0]) { return true }
      var ids: [Int32] = []
      appendPieces(of: word, to: &ids)
      isKnown = ids != [unknown]
      return !isKnown
    }
    return isKnown
  }

  private func appendPieces(of word: [UInt32], to ids: inout [Int32]) {
    if word.count > Self.longestWord {
      ids.append(unknown)
      return
    }
    // Pieces after the first are looked up behind the two bytes of "##".
    var bytes: [UInt8] = [0x23, 0x23]
    for value in word {
      if let scalar = Unicode.Scalar(value) { bytes.append(contentsOf: UTF8.encode(scalar)!) }
    }
    let piecesBefore = ids.count
    var position = 2
    while position < bytes.count {
      guard let (id, next) = longestPiece(of: &bytes, at: position) else {
        ids.removeSubrange(piecesBefore...)
        ids.append(unknown)
        return
      }
      ids.append(id)
      position = next
    }
  }

  /// The longest token that the word continues with at `position`, and where it ends.
  private func longestPiece(of bytes: inout [UInt8], at position: Int) -> (id: Int32, next: Int)? {
    var first = position
    if position > 2 {
      // What lies before is already matched, so the mark of a continuation may overwrite it.
      first -= 2
      bytes[first] = 0x23
      bytes[first + 1] = 0x23
    }
    var hash = TokenHash()
    for index in first..<position { hash.add(bytes[index]) }
    var best: (id: Int32, next: Int)?
    let limit = min(bytes.count, first + vocabulary.longestToken)
    for index in position..<max(limit, position) {
      hash.add(bytes[index])
      let next = index + 1
      let endsScalar = next == bytes.count || bytes[next] & 0xC0 != 0x80
      if endsScalar, let id = vocabulary.identifier(of: bytes[first..<next], hash: hash) {
        best = (id, next)
      }
    }
    return best
  }
}
