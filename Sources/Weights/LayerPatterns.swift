/// Values for layers by PEFT's patterns: the first that stands for the end of a layer's name,
/// behind a dot or from its beginning, decides.
///
/// A pattern is a name, or a regular expression. Of those it takes characters, `.`, `\d`, `\w`,
/// classes, groups with alternatives, and `*`, `+` and `?` behind a single character: what can be
/// matched in time proportional to the name.
struct LayerPatterns<Value: Equatable & Sendable>: Equatable, Sendable {
  private struct Entry: Equatable {
    let index: Int
    let value: Value
  }

  private struct Expression: Equatable {
    let index: Int
    let expression: LayerExpression
    let value: Value
  }

  private static var maximumExpressions: Int { 16 }

  private var names: [String: Entry] = [:]
  private var expressions: [Expression] = []
  private var count = 0

  var expressionCount: Int { expressions.count }

  /// Adds a pattern behind the others; false if it is not understood.
  mutating func append(_ pattern: String, _ value: Value) -> Bool {
    defer { count += 1 }
    if pattern.utf8.allSatisfy(Self.isOfName) {
      if names[pattern] == nil { names[pattern] = Entry(index: count, value: value) }
      return true
    }
    guard expressions.count < Self.maximumExpressions, let expression = LayerExpression(pattern)
    else { return false }
    expressions.append(Expression(index: count, expression: expression, value: value))
    return true
  }

  /// What the patterns say of a layer; nil if none stands for it.
  func value(for layer: String) -> Value? {
    var best = names[layer]
    if !names.isEmpty {
      for (offset, byte) in layer.utf8.enumerated() where byte == UInt8(ascii: ".") {
        if let entry = names[String(layer.utf8.dropFirst(offset + 1)) ?? ""],
          entry.index < best?.index ?? .max
        {
          best = entry
        }
      }
    }
    let expression = expressions.first { $0.expression.matches(layer) }
    guard let expression, expression.index < best?.index ?? .max else { return best?.value }
    return expression.value
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "."):
      true
    default: false
    }
  }
}

/// A regular expression without repeated groups, which no name can make slow.
struct LayerExpression: Equatable, Sendable {
  private indirect enum Node: Equatable, Sendable {
    case character(CharacterClass)
    /// - isMany: Or it may come once at most.
    case repeated(CharacterClass, canMiss: Bool, isMany: Bool)
    case sequence([Node])
    case choice([Node])
  }

  private struct CharacterClass: Equatable, Sendable {
    var ranges: [ClosedRange<UInt8>]
    var isNegated = false

    func contains(_ byte: UInt8) -> Bool { ranges.contains { $0.contains(byte) } != isNegated }
  }

  private static let maximumBytes = 128
  private static let deepest = 4

  private let root: Node
  /// Only whole names match.
  private let isAnchored: Bool

  /// Nil if it has what is not understood.
  init?(_ pattern: String) {
    var bytes = Array(pattern.utf8)[...]
    guard bytes.count <= Self.maximumBytes else { return nil }
    isAnchored = bytes.first == UInt8(ascii: "^")
    if isAnchored { bytes.removeFirst() }
    if bytes.last == UInt8(ascii: "$"), bytes.dropLast().last != UInt8(ascii: "\\") {
      bytes.removeLast()
    }
    guard let root = Self.choice(&bytes, depth: 0), bytes.isEmpty else { return nil }
    self.root = root
  }

  func matches(_ layer: String) -> Bool {
    let name = Array(layer.utf8)
    var places = [Bool](repeating: false, count: name.count + 1)
    places[0] = true
    if !isAnchored {
      for (index, byte) in name.enumerated() where byte == UInt8(ascii: ".") {
        places[index + 1] = true
      }
    }
    return Self.ends(root, places, name)[name.count]
  }

  /// Where matches of `node` end that begin at one of `places`.
  private static func ends(_ node: Node, _ places: [Bool], _ name: [UInt8]) -> [Bool] {
    switch node {
    case .character(let characters):
      var ends = [Bool](repeating: false, count: places.count)
      for index in name.indices where places[index] && characters.contains(name[index]) {
        ends[index + 1] = true
      }
      return ends
    case .repeated(let characters, let canMiss, let isMany):
      var ends = canMiss ? places : [Bool](repeating: false, count: places.count)
      for index in name.indices where characters.contains(name[index]) {
        if places[index] || (isMany && ends[index]) { ends[index + 1] = true }
      }
      return ends
    case .sequence(let nodes): return nodes.reduce(places) { ends($1, $0, name) }
    case .choice(let nodes):
      return nodes.reduce([Bool](repeating: false, count: places.count)) { sum, node in
        zip(sum, ends(node, places, name)).map { $0 || $1 }
      }
    }
  }
}

// Parsing: each function takes what it has read off the front.
extension LayerExpression {
  private static func choice(_ rest: inout ArraySlice<UInt8>, depth: Int) -> Node? {
    guard depth <= deepest else { return nil }
    var nodes: [Node] = []
    repeat {
      if !nodes.isEmpty { rest.removeFirst() }
      guard let node = sequence(&rest, depth: depth) else { return nil }
      nodes.append(node)
    } while rest.first == UInt8(ascii: "|")
    return nodes.count == 1 ? nodes[0] : .choice(nodes)
  }

  private static func sequence(_ rest: inout ArraySlice<UInt8>, depth: Int) -> Node? {
    var nodes: [Node] = []
    while let next = rest.first, next != UInt8(ascii: "|"), next != UInt8(ascii: ")") {
      guard let node = next == UInt8(ascii: "(") ? group(&rest, depth: depth) : atom(&rest) else {
        return nil
      }
      nodes.append(node)
    }
    return .sequence(nodes)
  }

  private static func group(_ rest: inout ArraySlice<UInt8>, depth: Int) -> Node? {
    rest.removeFirst()
    if rest.starts(with: "?:".utf8) { rest.removeFirst(2) }
    guard let node = choice(&rest, depth: depth + 1), rest.popFirst() == UInt8(ascii: ")"),
      rest.first.map({ !"*+?{".utf8.contains($0) }) ?? true
    else { return nil }
    return node
  }

  private static func atom(_ rest: inout ArraySlice<UInt8>) -> Node? {
    guard let characters = characters(&rest) else { return nil }
    let repetition = rest.first
    guard
      repetition == UInt8(ascii: "*") || repetition == UInt8(ascii: "+")
        || repetition == UInt8(ascii: "?")
    else { return .character(characters) }
    rest.removeFirst()
    // As few as possible or as many: whether the whole matches is the same.
    if rest.first == UInt8(ascii: "?") { rest.removeFirst() }
    return .repeated(
      characters, canMiss: repetition != UInt8(ascii: "+"), isMany: repetition != UInt8(ascii: "?"))
  }

  private static func characters(_ rest: inout ArraySlice<UInt8>) -> CharacterClass? {
    guard let byte = rest.popFirst() else { return nil }
    switch byte {
    case UInt8(ascii: "."): return CharacterClass(ranges: [0...255])
    case UInt8(ascii: "["): return bracket(&rest)
    case UInt8(ascii: "\\"): return rest.popFirst().flatMap(escaped)
    case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"),
      UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: "^"), UInt8(ascii: "$"):
      return nil
    default: return CharacterClass(ranges: [byte...byte])
    }
  }

  private static func escaped(_ byte: UInt8) -> CharacterClass? {
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    let letters = [UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z")]
    if byte == UInt8(ascii: "d") { return CharacterClass(ranges: [digits]) }
    if byte == UInt8(ascii: "w") {
      return CharacterClass(ranges: [digits, UInt8(ascii: "_")...UInt8(ascii: "_")] + letters)
    }
    // Other letters and digits mean something else than themselves.
    if digits.contains(byte) || letters.contains(where: { $0.contains(byte) }) { return nil }
    return CharacterClass(ranges: [byte...byte])
  }

  private static func bracket(_ rest: inout ArraySlice<UInt8>) -> CharacterClass? {
    var characters = CharacterClass(ranges: [])
    if rest.first == UInt8(ascii: "^") {
      characters.isNegated = true
      rest.removeFirst()
    }
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "]") { return characters.ranges.isEmpty ? nil : characters }
      if byte == UInt8(ascii: "\\") {
        guard let more = rest.popFirst().flatMap(escaped) else { return nil }
        characters.ranges += more.ranges
      } else if rest.first == UInt8(ascii: "-"), let last = rest.dropFirst().first,
        last != UInt8(ascii: "]")
      {
        guard last >= byte else { return nil }
        rest.removeFirst(2)
        characters.ranges.append(byte...last)
      } else {
        characters.ranges.append(byte...byte)
      }
    }
    return nil
  }
}
