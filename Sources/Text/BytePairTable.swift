import FoundationEssentials

/// A byte-pair vocabulary: 256 bytes, the same at the end of a word, and what is merged of two
/// tokens before it, in the order of their ranks. A token's identifier is its place.
///
/// Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units".
struct BytePairTable: Sendable {
  /// The most bytes of a file that are read; CLIP's own has 3.2 MB with the merges it does not use.
  static let maximumBytes = 8 << 20
  /// CLIP's vocabulary takes so many merges of a table, whatever follows them.
  static let maximumMerges = 49152 - 256 - 2
  /// Added to the identifier of a byte that ends a word.
  static let wordEnd: Int32 = 256

  /// The tokens that a text can have; identifiers are smaller.
  let count: Int
  /// What two tokens are merged to, by both identifiers.
  private let merges: [UInt32: Int32]

  init(merges bytes: [UInt8]) throws(BytePairTableError) {
    self.init(try Lines(bytes))
  }

  /// - Parameter vocabulary: A `vocab.json`, which has to name the tokens as `merges` does, and
  ///   behind them those of `special`, in their order.
  init(
    merges bytes: [UInt8], vocabulary: [UInt8], special: [String]
  ) throws(BytePairTableError) {
    let lines = try Lines(bytes)
    try lines.check(vocabulary, special: special)
    self.init(lines)
  }

  private init(_ lines: Lines) {
    count = lines.tokens.count
    merges = lines.merges
  }

  /// The identifiers of the 256 bytes: first those of visible Latin-1 characters.
  static let byteIdentifiers: [Int32] = {
    var identifiers = [Int32](repeating: 0, count: 256)
    for (identifier, byte) in bytesInOrder.enumerated() {
      identifiers[Int(byte)] = Int32(identifier)
    }
    return identifiers
  }()

  fileprivate static let bytesInOrder: [UInt8] = {
    let visible = Array(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF) as [UInt8]
    let seen = Set(visible)
    return visible + (0...255).filter { !seen.contains($0) }
  }()

  fileprivate static func key(_ left: Int32, _ right: Int32) -> UInt32 {
    UInt32(left) << 16 | UInt32(right)
  }

  /// What the tokens `left` and `right` are merged to.
  func merged(_ left: Int32, _ right: Int32) -> Int32? { merges[Self.key(left, right)] }

  /// Appends the tokens of `word` to `ids`: the merge of the lowest rank first, of equal ones the
  /// leftmost. O(n log n).
  func appendTokens(of word: [UInt8], endsWord: Bool, to ids: inout [Int32]) {
    if word.isEmpty { return }
    var symbols = word.map { Self.byteIdentifiers[Int($0)] }
    if endsWord { symbols[symbols.count - 1] += Self.wordEnd }
    var list = SymbolList(symbols, table: self)
    list.mergeAll()
    list.appendSymbols(to: &ids)
  }
}

/// A word while its symbols are merged: a doubly linked list, and what can be merged next.
private struct SymbolList {
  let table: BytePairTable
  /// By the place of their first byte; -1 where a symbol was merged into the one before it.
  private var symbols: [Int32]
  private var next: [Int]
  private var previous: [Int]
  /// The merge's identifier, which is its rank, above the place of its left symbol.
  private var candidates = MinimumHeap()

  init(_ symbols: [Int32], table: BytePairTable) {
    self.table = table
    self.symbols = symbols
    next = Array(1...symbols.count)
    previous = Array(-1..<symbols.count - 1)
  }

  private func mergeCandidate(at left: Int) -> Int32? {
    guard symbols[left] >= 0, next[left] < symbols.count else { return nil }
    return table.merged(symbols[left], symbols[next[left]])
  }

  private mutating func offerCandidate(at left: Int) {
    guard left >= 0, let merged = mergeCandidate(at: left) else { return }
    candidates.insert(UInt64(merged) << 32 | UInt64(left))
  }

  mutating func mergeAll() {
    for left in symbols.indices { offerCandidate(at: left) }
    while let candidate = candidates.popMinimum() {
      let left = Int(candidate & 0xFFFF_FFFF)
      let merged = Int32(candidate >> 32)
      // What was merged in the meantime does not stand there any more.
      guard mergeCandidate(at: left) == merged else { continue }
      let right = next[left]
      symbols[left] = merged
      symbols[right] = -1
      next[left] = next[right]
      if next[left] < symbols.count { previous[next[left]] = left }
      offerCandidate(at: left)
      offerCandidate(at: previous[left])
    }
  }

  func appendSymbols(to ids: inout [Int32]) {
    for symbol in symbols where symbol >= 0 { ids.append(symbol) }
  }
}

/// A binary heap, the smallest first.
struct MinimumHeap {
  private var values: [UInt64] = []

  mutating func insert(_ value: UInt64) {
    values.append(value)
    var child = values.count - 1
    while child > 0, values[(child - 1) / 2] > values[child] {
      values.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func popMinimum() -> UInt64? {
    guard let minimum = values.first, let last = values.popLast() else { return nil }
    if values.isEmpty { return minimum }
    values[0] = last
    var parent = 0
    while 2 * parent + 1 < values.count {
      var child = 2 * parent + 1
      if child + 1 < values.count, values[child + 1] < values[child] { child += 1 }
      if values[parent] <= values[child] { break }
      values.swapAt(parent, child)
      parent = child
    }
    return minimum
  }
}

/// What the lines of a `merges.txt` say.
private struct Lines {
  private(set) var merges: [UInt32: Int32] = [:]
  /// Identifiers by how the files write tokens.
  private(set) var tokens: [[UInt8]: Int32] = [:]

  init(_ bytes: [UInt8]) throws(BytePairTableError) {
    try Self.checkSize(bytes)
    addBytes()
    for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
    {
      if merges.count == BytePairTable.maximumMerges { break }
      let text = line.last == 0x0D ? line.dropLast() : line
      // The first line says the format's version, in more than one form.
      if index == 0, text.contains(Array("#version:".utf8)) { continue }
      // Empty lines end a file.
      if text.isEmpty, bytes[line.endIndex...].allSatisfy({ $0 == 0x0A || $0 == 0x0D }) { break }
      try add(text, line: index + 1)
    }
    if merges.isEmpty { throw .noMerges }
  }

  private static func checkSize(_ bytes: [UInt8]) throws(BytePairTableError) {
    if bytes.count > BytePairTable.maximumBytes {
      throw .tooLarge(actualBytes: bytes.count, maximumBytes: BytePairTable.maximumBytes)
    }
  }

  /// Bytes are written as characters that can be seen: those that cannot, from U+0100 on.
  private mutating func addBytes() {
    var hidden: UInt32 = 0x100
    for (identifier, byte) in BytePairTable.bytesInOrder.enumerated() {
      var scalar = Unicode.Scalar(byte)
      if identifier >= 188 {
        scalar = Unicode.Scalar(hidden)!
        hidden += 1
      }
      let name = Array(String(scalar).utf8)
      tokens[name] = Int32(identifier)
      tokens[name + Array("</w>".utf8)] = Int32(identifier) + BytePairTable.wordEnd
    }
  }

  private mutating func add(_ line: ArraySlice<UInt8>, line number: Int) throws(BytePairTableError)
  {
    let symbols = line.split(separator: 0x20, omittingEmptySubsequences: false)
    guard symbols.count == 2, symbols.allSatisfy({ !$0.isEmpty }) else {
      throw .notTwoSymbols(line: number)
    }
    let left = try identifier(of: symbols[0], line: number)
    let right = try identifier(of: symbols[1], line: number)
    let name = Array(symbols[0] + symbols[1])
    if tokens[name] != nil { throw .duplicateToken(Self.shortened(name[...]), line: number) }
    let merged = Int32(tokens.count)
    tokens[name] = merged
    merges[BytePairTable.key(left, right)] = merged
  }

  private func identifier(
    of symbol: ArraySlice<UInt8>, line: Int
  ) throws(BytePairTableError) -> Int32 {
    guard let identifier = tokens[Array(symbol)] else {
      throw .unknownSymbol(Self.shortened(symbol), line: line)
    }
    return identifier
  }

  private static func shortened(_ name: ArraySlice<UInt8>) -> String {
    let text = String(decoding: name.prefix(64), as: UTF8.self)
    return name.count > 64 ? text + "…" : text
  }

  /// Whether a `vocab.json` has these tokens, then `special`, and no others.
  func check(_ vocabulary: [UInt8], special: [String]) throws(BytePairTableError) {
    try Self.checkSize(vocabulary)
    guard let found = try? JSONDecoder().decode([String: Int].self, from: Data(vocabulary)) else {
      throw .vocabularyIsNotJSON
    }
    var names = [String](repeating: "", count: tokens.count)
    for (name, identifier) in tokens {
      names[Int(identifier)] = String(decoding: name, as: UTF8.self)
    }
    names += special
    for (expected, name) in names.enumerated() where found[name] != expected {
      let token = Self.shortened(Array(name.utf8)[...])
      throw .otherIdentifier(token: token, expected: expected, actual: found[name])
    }
    if found.count == names.count { return }
    let known = Set(names)
    let others = found.filter { !known.contains($0.key) }
    if let other = others.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
      throw .unexpectedToken(Self.shortened(Array(other.key.utf8)[...]), identifier: other.value)
    }
  }
}
