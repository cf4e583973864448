import Text
import Weights

/// The tokens that a checkpoint's text encoder reads.
struct CheckpointVocabulary {
  /// Of `merges.txt`.
  let path: String
  let merges: [UInt8]
  let tokenCount: Int
  /// The identifier that texts are padded with.
  var padding: Int

  private static let maximumBytes = 8 << 20

  /// - Parameters:
  ///   - merges: The path of a `merges.txt`.
  ///   - vocabulary: That of the `vocab.json` beside it, which has to agree; nil for none.
  init(merges path: String, vocabulary: String?) throws(ImportError) {
    self.path = path
    merges = try Self.bytes(path)
    let check: [UInt8]? = if let vocabulary { try Self.bytes(vocabulary) } else { nil }
    let tokenizer: CLIPTokenizer
    do throws(BytePairTableError) {
      tokenizer =
        if let check {
          try CLIPTokenizer(merges: merges, vocabulary: check)
        } else {
          try CLIPTokenizer(merges: merges)
        }
    } catch { throw .vocabulary(path: path, error) }
    tokenCount = tokenizer.vocabularySize
    padding = Int(tokenizer.end)
  }

  private static func bytes(_ path: String) throws(ImportError) -> [UInt8] {
    do throws(FileError) {
      let file = try MappedFile(path: path, maximumBytes: maximumBytes, mapsAnyones: true)
      return withExtendedLifetime(file) { Array(file.bytes) }
    } catch { throw .file(error) }
  }
}
