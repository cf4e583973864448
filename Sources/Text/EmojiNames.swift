/// What emoji are called in English: vocabularies have the words and not the pictures.
///
/// The names are Unicode CLDR's, which the training pictures are called by. A text without emoji
/// stays as it is, scalar by scalar.
package enum EmojiNames {
  private static let emojiSelector: UInt32 = 0xFE0F
  private static let textSelector: UInt32 = 0xFE0E
  private static let joiner: UInt32 = 0x200D
  private static let tones: ClosedRange<UInt32> = 0x1F3FB...0x1F3FF
  /// What subdivisions' flags end in.
  private static let tags: ClosedRange<UInt32> = 0xE0020...0xE007F

  /// Names by the scalars of emoji, without selectors.
  private static let names: [[UInt32]: String] = {
    var names: [[UInt32]: String] = [:]
    let lines = table.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }.unicodeScalars
      .split(separator: "\n")
    for line in lines {
      guard let space = line.firstIndex(of: " ") else { continue }
      names[line[..<space].map(\.value)] = String(line[line.index(after: space)...])
    }
    return names
  }()

  /// Scalars that emoji begin with.
  private static let firsts = Set(names.keys.map { $0[0] })
  /// The most scalars of an emoji: each person of a kiss or a family may have a skin tone.
  private static let longest = (names.keys.map(\.count).max() ?? 0) + 4

  /// The text with each emoji replaced by its name: "two 🍎" becomes "two red apple".
  package static func spelledOut(_ text: String) -> String {
    // Below the sign for copyright there are only the keys of a telephone, which need 0x20E3.
    guard text.unicodeScalars.contains(where: { $0.value >= 0xA9 }) else { return text }
    let scalars = Array(text.unicodeScalars)
    var spelled = String.UnicodeScalarView()
    var position = 0
    while position < scalars.count {
      guard let (name, end) = emoji(in: scalars, at: position) else {
        spelled.append(scalars[position])
        position += 1
        continue
      }
      if let last = spelled.last, !last.properties.isWhitespace { spelled.append(" ") }
      spelled.append(contentsOf: name.unicodeScalars)
      position = end
      // What joins it to the next one, or says more of it than is known here.
      while position < scalars.count, isGlue(scalars[position].value) { position += 1 }
      if position < scalars.count, !scalars[position].properties.isWhitespace {
        spelled.append(" ")
      }
    }
    return String(spelled)
  }

  private static func isGlue(_ scalar: UInt32) -> Bool {
    scalar == joiner || scalar == emojiSelector || tags.contains(scalar)
  }

  /// The name of the longest emoji that begins at `start`, and where it ends.
  private static func emoji(
    in scalars: [Unicode.Scalar], at start: Int
  ) -> (name: String, end: Int)? {
    let first = scalars[start].value
    guard firsts.contains(first) || isNew(scalars[start]) else { return nil }
    var key: [UInt32] = []
    // Where each scalar of the key ends, its selector included.
    var ends: [Int] = []
    var position = start
    while position < scalars.count, key.count < longest {
      let scalar = scalars[position].value
      if scalar == textSelector { break }
      position += 1
      if scalar == emojiSelector, !ends.isEmpty {
        ends[ends.count - 1] = position
      } else {
        key.append(scalar)
        ends.append(position)
      }
    }
    for count in stride(from: key.count, to: 0, by: -1) {
      guard let name = name(of: Array(key[..<count])) else { continue }
      let isShown =
        count > 1 || isEmojiByItself(first) || scalars[ends[0] - 1].value == emojiSelector
      let isText = ends[count - 1] < scalars.count && scalars[ends[count - 1]].value == textSelector
      return isShown && !isText ? (name, ends[count - 1]) : nil
    }
    return isNew(scalars[start]) ? newName(of: scalars[start]).map { ($0, ends[0]) } : nil
  }

  /// The name of exactly these scalars. CLDR puts skin tones behind the rest.
  private static func name(of scalars: [UInt32]) -> String? {
    if let name = names[scalars] { return name }
    let toneNames = scalars.filter(tones.contains).compactMap { names[[$0]] }
    guard !toneNames.isEmpty, let name = names[scalars.filter { !tones.contains($0) }]
    else { return nil }
    return name + (name.contains(":") ? ", " : ": ") + toneNames.joined(separator: ", ")
  }

  /// Whether a scalar stands for a picture unless something says otherwise. Others stand in texts
  /// as they are (©, ™, arrows, bullets, digits) and are emoji with a selector.
  private static func isEmojiByItself(_ scalar: UInt32) -> Bool {
    switch scalar {
    case ..<0x2300, 0x24C2, 0x25AA...0x25FC, 0x3000..<0x1F000: false
    default: true
    }
  }

  /// Whether it came to Unicode after the table.
  private static func isNew(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value >= 0x1F300 && scalar.properties.isEmojiPresentation
      && !firsts.contains(scalar.value)
  }

  /// Unicode's own name, which is CLDR's for most.
  private static func newName(of scalar: Unicode.Scalar) -> String? {
    scalar.properties.name?.lowercased()
  }
}
