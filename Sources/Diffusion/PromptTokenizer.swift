import Models
import Text

/// A prompt as the text networks read it.
struct TokenizedPrompt: Equatable {
  struct Chunk: Equatable {
    /// Behind the vocabulary's, vectors of the prompt's words.
    let ids: [Int32]
    /// Of each token; nil where all weigh the same.
    let weights: [Float]?
  }

  /// At least one.
  let chunks: [Chunk]
  /// What did not fit: the prompt from the first word that is not there in whole, or nothing where
  /// that is not known. Nil when everything did.
  let omittedText: String?

  var tokens: Int { chunks.reduce(0) { $0 + $1.ids.count } }
}

/// A text as all of a model's tokenizers read it.
struct TokenizedText {
  /// Whether nothing was written.
  let isEmpty: Bool
  private let prompts: [String: TokenizedPrompt]

  init(_ text: String, by tokenizers: [String: PromptTokenizer], words: PromptWords) {
    isEmpty = text.isEmpty
    prompts = tokenizers.mapValues { $0.read(text, words: words) }
  }

  /// What the tokenizer of that name made of it.
  subscript(tokenizer: String) -> TokenizedPrompt? { prompts[tokenizer] }

  var omittedText: String? { prompts.values.lazy.compactMap(\.omittedText).first }
}

/// One of a model's tokenizers, with how it is used for prompts.
struct PromptTokenizer: Sendable {
  private enum Kind: Sendable {
    case wordPiece(WordPieceTokenizer)
    case clip(CLIPTokenizer, padding: Int32)
  }

  private let kind: Kind
  private let maximumTokens: Int

  /// - Parameter file: Gives the bytes of the package's file of that name.
  init(
    _ description: TokenizerDescription,
    file: (String) throws(ModelLoadingError) -> [UInt8]
  ) throws(ModelLoadingError) {
    let vocabulary = try file(description.vocabulary)
    switch description.kind {
    case .wordPiece(let isLowercase):
      do throws(VocabularyError) {
        kind = .wordPiece(
          try WordPieceTokenizer(vocabulary: vocabulary, lowercase: isLowercase))
      } catch { throw .vocabulary(error) }
    case .clip(let padding):
      do throws(BytePairTableError) {
        kind = .clip(try CLIPTokenizer(merges: vocabulary), padding: padding)
      } catch { throw .bytePairs(error) }
    }
    maximumTokens = description.maximumTokens
  }

  var vocabularySize: Int {
    switch kind {
    case .wordPiece(let tokenizer): tokenizer.vocabularySize
    case .clip(let tokenizer, _): tokenizer.vocabularySize
    }
  }

  /// - Parameter words: Those that stand for vectors, where the tokenizer has a place for them.
  func read(_ prompt: String, words: PromptWords = PromptWords()) -> TokenizedPrompt {
    switch kind {
    case .wordPiece(let tokenizer):
      // These vocabularies have words and no emoji.
      let text = tokenizer.encode(
        EmojiNames.spelledOut(prompt), maximumTokens: maximumTokens)
      return TokenizedPrompt(
        chunks: [.init(ids: text.ids, weights: nil)], omittedText: text.truncated ? "" : nil)
    case .clip(let tokenizer, let padding):
      let read = PromptChunks(
        WeightedPrompt(parsing: prompt), tokenizer: tokenizer, padding: padding,
        maximumChunks: maximumTokens / TokenizerDescription.clipChunk, words: words)
      let chunks = read.chunks.map { chunk in
        TokenizedPrompt.Chunk(
          ids: chunk.ids, weights: chunk.weights.allSatisfy { $0 == 1 } ? nil : chunk.weights)
      }
      return TokenizedPrompt(chunks: chunks, omittedText: read.omittedText)
    }
  }

  /// Whether there is a word in a prompt that it knows.
  func knowsWord(of prompt: String) -> Bool {
    switch kind {
    case .wordPiece(let tokenizer): tokenizer.knowsWord(in: EmojiNames.spelledOut(prompt))
    // Every byte is a token.
    case .clip: true
    }
  }
}
