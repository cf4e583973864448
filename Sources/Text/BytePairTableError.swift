/// Why the bytes of a `merges.txt` or a `vocab.json` cannot be used.
///
/// Tokens and symbols in it are shortened.
package enum BytePairTableError: Error, Equatable, CustomStringConvertible {
  case tooLarge(actualBytes: Int, maximumBytes: Int)
  case noMerges
  case notTwoSymbols(line: Int)
  /// A symbol that is neither a byte's nor what an earlier line makes.
  case unknownSymbol(String, line: Int)
  /// A line whose result is a token already.
  case duplicateToken(String, line: Int)
  case vocabularyIsNotJSON
  /// The vocabulary gives a token another identifier than the merges do; nil where it lacks it.
  case otherIdentifier(token: String, expected: Int, actual: Int?)
  case unexpectedToken(String, identifier: Int)

  package var description: String {
    let problem =
      switch self {
      case .tooLarge(let actual, let maximum):
        "a table of it has \(actual) bytes, and \(maximum) is the most that is read"
      case .noMerges: "merges.txt has no merges"
      case .notTwoSymbols(let line):
        "line \(line) of merges.txt is not two symbols with a space between them"
      case .unknownSymbol(let symbol, let line):
        "line \(line) of merges.txt merges \"\(symbol)\", which no line before it makes"
      case .duplicateToken(let token, let line):
        "line \(line) of merges.txt makes the token \"\(token)\" again"
      case .vocabularyIsNotJSON:
        "vocab.json is not a JSON object of tokens and their numbers"
      case .otherIdentifier(let token, let expected, let actual?):
        "in vocab.json the token \"\(token)\" is \(actual), by merges.txt it is \(expected)"
      case .otherIdentifier(let token, let expected, nil):
        "vocab.json has no token \"\(token)\", which merges.txt makes number \(expected)"
      case .unexpectedToken(let token, let identifier):
        "vocab.json has the token \"\(token)\", number \(identifier), which merges.txt does not "
          + "make"
      }
    return "The tokenizer cannot be used: \(problem). Get the checkpoint's tokenizer folder again, "
      + "or leave it out: CLIP's own table is used then."
  }
}
