import Models
import Text
import Weights

/// The embeddings that prompts may name.
package struct PromptEmbeddings {
  /// One that prompts have.
  package struct Named: Equatable, Sendable {
    package let name: String
    /// Whether it is one of those that there are; otherwise `embedding:` asks for it.
    package let isKnown: Bool
    /// Whether it can be meant for nothing else than an embedding.
    package var isExplicit: Bool
  }

  private let words: PromptWords

  /// - Parameter names: As they are installed, with how their files write the word, if otherwise.
  package init(_ names: [(name: String, token: String?)]) {
    words = PromptWords(
      names.map { PromptWords.Word(name: $0.name, token: $0.token, count: 1) })
  }

  /// Those that the prompts have, each once, in the order in which they come.
  package func named(in prompts: [String]) -> [Named] {
    var named: [Named] = []
    for match in prompts.flatMap({ words.matches(in: $0) }) {
      if let index = named.firstIndex(where: { $0.name == match.name }) {
        named[index].isExplicit = named[index].isExplicit || match.isExplicit
      } else {
        named.append(
          Named(name: match.name, isKnown: match.word != nil, isExplicit: match.isExplicit))
      }
    }
    return named
  }
}

extension PromptWords {
  /// - Parameter uses: Embeddings, by the names that prompts give them.
  init(_ uses: [PeelUse]) {
    self.init(
      uses.map { use -> Word in
        guard let embedding = use.peel.file.embedding else {
          preconditionFailure("\(use.name) is no embedding")
        }
        return Word(name: use.name, token: embedding.token, count: embedding.count)
      })
  }
}

/// What a text network is given of a chunk of a prompt.
struct EmbeddedChunk {
  /// Tokens; those behind the vocabulary's are rows of `vectors`.
  let ids: [Int32]
  /// Those that the chunk has, `[row, width]`, padded with zeros to `Extents.mostVectors` rows;
  /// nil where it has none.
  let vectors: [Float]?

  /// - Parameters:
  ///   - ids: Behind the vocabulary's, the vectors of `words` in their order.
  ///   - textEncoder: The number of the text network among its model's, from 1.
  init(_ ids: [Int32], vocabularySize: Int, words: [PeelUse], textEncoder: Int) {
    guard ids.contains(where: { $0 >= vocabularySize }) else {
      self.ids = ids
      self.vectors = nil
      return
    }
    let embeddings = words.compactMap(\.peel.file.embedding)
    let width = embeddings[0].widths[textEncoder]!
    let all = embeddings.flatMap { $0.vectors(of: textEncoder) }
    var rows: [Int: Int] = [:]
    var vectors: [Float] = []
    self.ids = ids.map { id in
      let vector = Int(id) - vocabularySize
      if vector < 0 { return id }
      let row = rows[vector, default: rows.count]
      if rows.updateValue(row, forKey: vector) == nil {
        vectors += all[vector * width..<(vector + 1) * width]
      }
      return Int32(vocabularySize + row)
    }
    precondition(rows.count <= Extents.mostVectors, "a chunk has fewer tokens than that")
    self.vectors =
      vectors + Array(repeating: 0, count: Extents.mostVectors * width - vectors.count)
  }
}
