/// Words of a prompt that stand for vectors of their own and not for tokens (Gal et al. 2022, "An
/// Image is Worth One Word: Personalizing Text-to-Image Generation using Textual Inversion").
///
/// They are written as in other programs: `easynegative` in AUTOMATIC1111's web UI, in upper or
/// lower case and apart from letters and digits; `embedding:easynegative` in ComfyUI, which a
/// file's ending may follow; `<easynegative>` in diffusers.
package struct PromptWords: Equatable, Sendable {
  package struct Word: Equatable, Sendable {
    /// ASCII, without white space, in lower case.
    package let name: String
    /// Another way to write it, `<cat-toy>`; nil if there is none.
    package let token: String?
    /// How many vectors it stands for, at least 1.
    package let count: Int

    package init(name: String, token: String? = nil, count: Int) {
      self.name = name
      self.token = token
      self.count = count
    }
  }

  /// A place where a prompt has one.
  package struct Match: Equatable, Sendable {
    /// UTF-8 bytes of the text.
    package let range: Range<Int>
    package let name: String
    /// Its number; nil where `embedding:` names one that there is not.
    package let word: Int?
    /// Whether it can be meant for nothing else: with `embedding:` or in angle brackets.
    package let isExplicit: Bool
  }

  package let words: [Word]
  /// For each word, how many vectors those before it stand for.
  let firsts: [Int]
  private let spellings: [Spelling]

  private struct Spelling: Equatable {
    let name: [Unicode.Scalar]
    let bracketed: [[Unicode.Scalar]]
  }

  package init(_ words: [Word] = []) {
    self.words = words
    var firsts: [Int] = []
    var sum = 0
    for word in words {
      firsts.append(sum)
      sum += word.count
    }
    self.firsts = firsts
    spellings = words.map { word in
      Spelling(
        name: Array(word.name.unicodeScalars),
        bracketed: ["<\(word.name)>", word.token ?? ""].filter { $0.hasPrefix("<") }
          .map { Array($0.lowercased().unicodeScalars) })
    }
  }

  /// Where a text has them, in its order; of those that begin at one place, the longest.
  package func matches(in text: String) -> [Match] {
    let scalars = Array(text.unicodeScalars)
    var matches: [Match] = []
    var (place, offset) = (0, 0)
    while place < scalars.count {
      var end = place + 1
      if let found = match(in: scalars, at: place) {
        end = found.end
        let bytes = scalars[place..<end].reduce(0) { $0 + UTF8.width($1) }
        matches.append(
          Match(
            range: offset..<offset + bytes, name: found.name, word: found.word,
            isExplicit: found.isExplicit))
      }
      offset += scalars[place..<end].reduce(0) { $0 + UTF8.width($1) }
      place = end
    }
    return matches
  }

  private struct Found {
    let name: String
    let word: Int?
    let isExplicit: Bool
    let end: Int
  }

  private static let marker = Array("embedding:".unicodeScalars)
  private static let endings = [".safetensors", ".pt", ".bin"].map { Array($0.unicodeScalars) }
  /// Of a name after the marker that nothing is installed by.
  private static let longestName = 128

  private func match(in text: [Unicode.Scalar], at place: Int) -> Found? {
    if text[place] == "<" {
      for (index, spelling) in spellings.enumerated() {
        for bracketed in spelling.bracketed where Self.has(text, bracketed, at: place) {
          return Found(
            name: words[index].name, word: index, isExplicit: true, end: place + bracketed.count)
        }
      }
      return nil
    }
    if place > 0, Self.isLetter(text[place - 1]) { return nil }
    let isMarked = Self.has(text, Self.marker, at: place)
    let start = isMarked ? place + Self.marker.count : place
    var longest: Int?
    for (index, spelling) in spellings.enumerated() {
      let end = start + spelling.name.count
      guard Self.has(text, spelling.name, at: start),
        end == text.count || !Self.isLetter(text[end])
      else { continue }
      if spelling.name.count > longest.map({ spellings[$0].name.count }) ?? 0 { longest = index }
    }
    if let longest {
      var end = start + spellings[longest].name.count
      if isMarked, let ending = Self.endings.first(where: { Self.has(text, $0, at: end) }) {
        end += ending.count
      }
      return Found(name: words[longest].name, word: longest, isExplicit: isMarked, end: end)
    }
    guard isMarked else { return nil }
    let name = text[start...].prefix(Self.longestName).prefix {
      $0.isASCII && (Self.isLetter($0) || $0 == "-" || $0 == ".")
    }
    if name.isEmpty { return nil }
    return Found(
      name: String(String.UnicodeScalarView(name)), word: nil, isExplicit: true,
      end: start + name.count)
  }

  /// Whether `spelling`, in lower case, stands at a place, in whichever case if it is ASCII.
  private static func has(
    _ text: [Unicode.Scalar], _ spelling: [Unicode.Scalar], at place: Int
  ) -> Bool {
    guard place + spelling.count <= text.count else { return false }
    for (index, scalar) in spelling.enumerated() where lowered(text[place + index]) != scalar {
      return false
    }
    return true
  }

  private static func lowered(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    "A"..."Z" ~= scalar ? Unicode.Scalar(UInt8(scalar.value + 32)) : scalar
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    case _ where scalar.isASCII: false
    default: scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }
  }
}
