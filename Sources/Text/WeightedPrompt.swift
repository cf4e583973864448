/// A prompt as people write it: texts of different weight, and breaks between chunks.
///
/// The syntax is that of AUTOMATIC1111's web UI (`parse_prompt_attention` in its prompt_parser.py):
///
/// - `(text)` weighs 1.1 times as much, `[text]` 1/1.1 times, `(text:1.2)` 1.2 times; all of them
///   nest, and a bracket that nothing closes reaches to the end of the prompt.
/// - `\(`, `\)`, `\[`, `\]` and `\\` are the characters themselves; a backslash before anything
///   else is dropped.
/// - `BREAK`, a word of its own, begins a new chunk; white space around it is dropped.
///
/// Everything else is text, such as a closing bracket that nothing opens. Where the web UI fails or
/// goes astray, this does not: a weight that is no number (`1.2.3`) is text, `BREAK` is a break
/// within brackets too, and weights are bounded. Prompt editing (`[from:to:0.5]`, `[a|b]`, `AND`)
/// is not read.
package struct WeightedPrompt: Equatable, Sendable {
  package enum Part: Equatable, Sendable {
    /// Never empty; no two follow one another with the same weight.
    case text(String, weight: Double)
    case chunkBreak
  }

  /// Weights are between the negative of this and this.
  package static let largestWeight = 100.0
  /// Brackets in so many others of their kind weigh nothing, which keeps the cost linear; those
  /// around them weigh 446 by then, or 1/446.
  package static let deepestBracket = 64

  package let parts: [Part]

  /// Reads a prompt; every text is one.
  package init(parsing prompt: String) {
    var parser = PromptParser(prompt)
    parts = parser.parse()
  }

  /// A prompt without syntax.
  package init(plain text: String) {
    parts = text.isEmpty ? [] : [.text(text, weight: 1)]
  }
}

private struct PromptParser {
  private enum Content {
    case text(String.UnicodeScalarView)
    case chunkBreak
  }

  private static let roundWeight = 1.1
  private static let squareWeight = 1 / 1.1

  private let prompt: [Unicode.Scalar]
  private var segments: [(content: Content, weight: Double)] = []
  /// The numbers of the segments that begin behind brackets that are open.
  private var round: [Int] = []
  private var square: [Int] = []

  init(_ prompt: String) {
    self.prompt = Array(prompt.unicodeScalars)
  }

  mutating func parse() -> [WeightedPrompt.Part] {
    var position = 0
    while position < prompt.count { position = step(at: position) }
    for depth in round.indices { weigh(from: round[depth], depth: depth, by: Self.roundWeight) }
    for depth in square.indices { weigh(from: square[depth], depth: depth, by: Self.squareWeight) }
    return parts()
  }

  /// Takes what stands at `position`, and gives where the next thing does.
  private mutating func step(at position: Int) -> Int {
    switch prompt[position] {
    case "\\":
      guard position + 1 < prompt.count, "()[]\\".unicodeScalars.contains(prompt[position + 1])
      else { return position + 1 }
      append(prompt[position + 1...position + 1])
      return position + 2
    case "(": round.append(segments.count)
    case "[": square.append(segments.count)
    case ")" where !round.isEmpty: closeRound(by: Self.roundWeight)
    case "]" where !square.isEmpty:
      weigh(from: square.removeLast(), depth: square.count, by: Self.squareWeight)
    case ":":
      if !round.isEmpty, let (weight, end) = closingWeight(behind: position) {
        closeRound(by: weight)
        return end
      }
      append(prompt[position...position])
    case ")", "]": append(prompt[position...position])
    default:
      let end = prompt[position...].firstIndex { "\\()[]:".unicodeScalars.contains($0) }
      appendWithBreaks(prompt[position..<(end ?? prompt.count)])
      return end ?? prompt.count
    }
    return position + 1
  }

  private mutating func closeRound(by weight: Double) {
    weigh(from: round.removeLast(), depth: round.count, by: weight)
  }

  /// Multiplies what has come since a bracket's beginning; `depth` brackets of its kind are open
  /// around it.
  private mutating func weigh(from start: Int, depth: Int, by weight: Double) {
    if depth >= WeightedPrompt.deepestBracket { return }
    for index in start..<segments.count { segments[index].weight *= weight }
  }

  /// The weight and where it ends, if the colon begins `:\s*([+-]?[.\d]+)\s*\)`.
  private func closingWeight(behind colon: Int) -> (weight: Double, end: Int)? {
    func skipSpace(_ position: Int) -> Int {
      prompt[position...].firstIndex { !$0.properties.isWhitespace } ?? prompt.count
    }
    let start = skipSpace(colon + 1)
    var end = start
    if end < prompt.count, "+-".unicodeScalars.contains(prompt[end]) { end += 1 }
    while end < prompt.count, "0"..."9" ~= prompt[end] || prompt[end] == "." { end += 1 }
    let bracket = skipSpace(end)
    guard bracket < prompt.count, prompt[bracket] == ")" else { return nil }
    var digits = ""
    digits.unicodeScalars.append(contentsOf: prompt[start..<end])
    return Double(digits).map { (Self.bounded($0), bracket + 1) }
  }

  private static func bounded(_ weight: Double) -> Double {
    min(max(weight, -WeightedPrompt.largestWeight), WeightedPrompt.largestWeight)
  }

  private mutating func append(_ text: ArraySlice<Unicode.Scalar>) {
    if !text.isEmpty { segments.append((.text(.init(text)), 1)) }
  }

  private mutating func appendWithBreaks(_ text: ArraySlice<Unicode.Scalar>) {
    let word = Array("BREAK".unicodeScalars)
    var start = text.startIndex
    var position = start
    while position + word.count <= text.endIndex {
      let end = position + word.count
      let isBreak =
        text[position] == "B" && text[position..<end].elementsEqual(word)
        && (position == text.startIndex || !Self.isWordScalar(text[position - 1]))
        && (end == text.endIndex || !Self.isWordScalar(text[end]))
      guard isBreak else {
        position += 1
        continue
      }
      var before = text[start..<position]
      while before.last?.properties.isWhitespace == true { before.removeLast() }
      append(before)
      segments.append((.chunkBreak, 1))
      start = text[end...].firstIndex { !$0.properties.isWhitespace } ?? text.endIndex
      position = start
    }
    append(text[start...])
  }

  /// What `\w` matches in the web UI's pattern.
  private static func isWordScalar(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber, .letterNumber, .otherNumber:
      true
    default: scalar == "_"
    }
  }

  /// The segments, with neighbours of equal weight joined.
  private func parts() -> [WeightedPrompt.Part] {
    var parts: [WeightedPrompt.Part] = []
    var text = String.UnicodeScalarView()
    var textWeight = 1.0
    func finishText() {
      if !text.isEmpty { parts.append(.text(String(text), weight: Self.bounded(textWeight))) }
      text = String.UnicodeScalarView()
    }
    for segment in segments {
      switch segment.content {
      case .text(let more):
        if segment.weight != textWeight { finishText() }
        textWeight = segment.weight
        text.append(contentsOf: more)
      case .chunkBreak:
        finishText()
        parts.append(.chunkBreak)
      }
    }
    finishText()
    return parts
  }
}
