/// Why the bytes of a `vocab.txt` cannot be used.
package enum VocabularyError: Error, Equatable, CustomStringConvertible {
  case invalidUTF8
  case emptyToken(line: Int)
  case duplicateToken(String, line: Int)
  case missingToken(String)

  package var description: String {
    let problem =
      switch self {
      case .invalidUTF8: "it is not UTF-8"
      case .emptyToken(let line): "line \(line) is empty"
      case .duplicateToken(let token, let line): "line \(line) repeats the token \"\(token)\""
      case .missingToken(let token): "it has no token \"\(token)\""
      }
    return "The vocabulary cannot be used: \(problem). Install the model package again."
  }
}

/// The tokens of a WordPiece vocabulary, found by their UTF-8 bytes.
///
/// Bytes and not `String`, because strings compare by canonical equivalence and tokens must not.
struct Vocabulary: Sendable {
  private let text: [UInt8]
  private var bounds: [Range<Int>] = []
  private var slots: [Int32]
  /// The bytes of the longest token.
  private(set) var longestToken = 0

  var count: Int { bounds.count }

  init(_ bytes: [UInt8]) throws(VocabularyError) {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .invalidUTF8 }
    text = bytes
    let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    var slotCount = 64
    while slotCount < 2 * lines.count { slotCount *= 2 }
    slots = Array(repeating: -1, count: slotCount)
    for (index, line) in lines.enumerated() {
      if index == lines.count - 1, line.isEmpty { break }
      let token = line.last == 0x0D ? line.dropLast() : line
      if token.isEmpty { throw .emptyToken(line: index + 1) }
      try insert(token.indices, line: index + 1)
    }
  }

  private mutating func insert(_ range: Range<Int>, line: Int) throws(VocabularyError) {
    var hash = TokenHash()
    for index in range { hash.add(text[index]) }
    if identifier(of: text[range], hash: hash) != nil {
      throw .duplicateToken(String(decoding: text[range], as: UTF8.self), line: line)
    }
    var slot = Int(truncatingIfNeeded: hash.value) & (slots.count - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Int32(bounds.count)
    bounds.append(range)
    longestToken = max(longestToken, range.count)
  }

  /// The identifier of the token that is exactly `bytes`, whose hash is `hash`.
  func identifier(of bytes: ArraySlice<UInt8>, hash: TokenHash) -> Int32? {
    var slot = Int(truncatingIfNeeded: hash.value) & (slots.count - 1)
    while slots[slot] >= 0 {
      let range = bounds[Int(slots[slot])]
      if range.count == bytes.count, text[range].elementsEqual(bytes) { return slots[slot] }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  func identifier(of token: String) -> Int32? {
    var hash = TokenHash()
    for byte in token.utf8 { hash.add(byte) }
    return identifier(of: Array(token.utf8)[...], hash: hash)
  }
}

/// FNV-1a, which grows with each byte, so that all prefixes of a word are hashed in one pass.
struct TokenHash {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
}
