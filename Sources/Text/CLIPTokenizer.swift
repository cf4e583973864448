/// A token of a text.
package struct CLIPToken: Equatable, Sendable {
  package let id: Int32
  /// Where its word begins in the text, in UTF-8 bytes; of a word of more than 16 KiB, its piece.
  package let wordOffset: Int
}

/// CLIP's tokenizer: byte pairs within words.
///
/// It reads text as transformers' CLIPTokenizer does since version 5, and CLIPTokenizerFast did
/// before: normalization form C, lower case scalar by scalar, no mending of mis-encoded text and no
/// HTML entities. Two things differ. Special tokens that are written out in a text are text like
/// any other: a prompt cannot forge one. And a word of more than 16 KiB is read in pieces of that
/// length, so that no text costs more than its length.
///
/// Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision",
/// section 2.4, and its published code.
package struct CLIPTokenizer: Sendable {
  /// How `vocab.json` writes the tokens that begin and end a text.
  private static let specialTokens = ["<|startoftext|>", "<|endoftext|>"]

  private let table: BytePairTable

  /// - Parameter merges: The bytes of a `merges.txt`: a line with the format's version, then a
  ///   merge a line, two symbols with a space between them, the first with the lowest rank. Merges
  ///   after the 48,894th are left alone, as CLIP leaves them. They say all tokens and identifiers,
  ///   so that no `vocab.json` is needed.
  /// - Throws: `BytePairTableError` if it has more than 8 MiB, no merges, a line of another form,
  ///   of unknown symbols or for a token that there is already.
  package init(merges: [UInt8]) throws(BytePairTableError) {
    table = try BytePairTable(merges: merges)
  }

  /// - Parameters:
  ///   - merges: As above.
  ///   - vocabulary: The bytes of the `vocab.json` beside it. Nothing is taken from it; a
  ///     checkpoint that numbers its tokens otherwise than by its merges has to be refused.
  /// - Throws: `BytePairTableError` as above, and if the vocabulary has more than 8 MiB, is no JSON
  ///   or contradicts the merges: the first token that does is named.
  package init(merges: [UInt8], vocabulary: [UInt8]) throws(BytePairTableError) {
    table = try BytePairTable(
      merges: merges, vocabulary: vocabulary, special: Self.specialTokens)
  }

  /// The token before a text; 49406 with CLIP's own merges.
  package var begin: Int32 { Int32(table.count) }
  /// The token behind a text; 49407 with CLIP's own merges.
  package var end: Int32 { Int32(table.count) + 1 }
  /// The token of a comma that is a word.
  package var comma: Int32 {
    BytePairTable.byteIdentifiers[Int(UInt8(ascii: ","))] + BytePairTable.wordEnd
  }
  /// The number of tokens that there are; identifiers are smaller.
  package var vocabularySize: Int { table.count + 2 }

  /// The first tokens of `text`, without those before and behind it, at most `limit`.
  ///
  /// Nothing behind the limit is looked at, so a huge text costs no more than a long one.
  package func tokens(of text: String, atMost limit: Int) -> [CLIPToken] {
    var tokens: [CLIPToken] = []
    if limit <= 0 { return tokens }
    var ids: [Int32] = []
    CLIPWords.forEachPiece(of: text) { piece in
      ids.removeAll(keepingCapacity: true)
      table.appendTokens(of: piece.bytes, endsWord: piece.endsWord, to: &ids)
      for id in ids.prefix(limit - tokens.count) {
        tokens.append(CLIPToken(id: id, wordOffset: piece.offset))
      }
      return tokens.count < limit
    }
    return tokens
  }
}
