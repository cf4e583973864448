/// What a peel says of itself, in the terms of ModelSpec
/// (https://github.com/Stability-AI/ModelSpec), cut to what is kept: a file may bring texts of any
/// length, and they are told to everybody who may use the peel.
package struct PeelTexts: Sendable, Equatable {
  /// Bytes of a title, a licence or the name of a base.
  package static let lineBytes = 200
  package static let triggerWords = 32
  package static let triggerWordBytes = 100
  /// Keys of the rest, the bytes of each value, and of all together.
  package static let entries = 128
  package static let entryBytes = 4096
  package static let totalBytes = 32 << 10

  package let title: String?
  /// Words that a prompt should have for the peel to show.
  package let triggerWords: [String]
  package let license: String?
  /// The model that the peel changes: `modelspec.architecture` without "/lora".
  package let baseModel: String?
  /// sha256 of the base's `denoiser.safetensors`, in lower case.
  package let baseModelHash: String?
  /// The file's metadata, short values only.
  package let metadata: [String: String]
  /// What was cut, in sentences.
  package let warnings: [String]

  init(_ metadata: [String: String]) {
    var warnings: [String] = []
    func line(_ key: String, _ what: String) -> String? {
      guard let text = metadata[key] else { return nil }
      let (line, isWhole) = Self.line(text, maximumBytes: Self.lineBytes)
      if !isWhole { warnings.append("Its \(what) was cut to \(Self.lineBytes) bytes.") }
      return line.isEmpty ? nil : line
    }
    title = line("modelspec.title", "title")
    license = line("modelspec.license", "licence")
    baseModel = line("modelspec.architecture", "base").map {
      $0.hasSuffix("/lora") && $0 != "/lora" ? String($0.dropLast(5)) : $0
    }
    baseModelHash = line("banana.base_sha256", "base's hash")?.lowercased()
    let (words, areWhole) = Self.words(metadata["modelspec.trigger_phrase"] ?? "")
    triggerWords = words
    if !areWhole {
      warnings.append(
        "Its trigger words were cut to \(Self.triggerWords) of \(Self.triggerWordBytes) bytes.")
    }
    var room = Self.totalBytes
    var kept: [String: String] = [:]
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      let needed = key.utf8.count + value.utf8.count
      if needed > room || value.utf8.count > Self.entryBytes || kept.count == Self.entries {
        continue
      }
      room -= needed
      kept[key] = value
    }
    self.metadata = kept
    self.warnings = warnings
  }

  private static func words(_ text: String) -> (words: [String], areWhole: Bool) {
    // What is read is bounded before it is taken apart.
    let maximumBytes = 2 * triggerWords * triggerWordBytes
    var areWhole = text.utf8.count <= maximumBytes
    let read = String(decoding: text.utf8.prefix(maximumBytes), as: UTF8.self)
    var words: [String] = []
    for part in read.unicodeScalars.split(separator: ",") {
      let (word, isWhole) = line(String(part), maximumBytes: triggerWordBytes)
      areWhole = areWhole && isWhole
      if word.isEmpty { continue }
      if words.count == triggerWords { return (words, false) }
      words.append(word)
    }
    return (words, areWhole)
  }

  /// The text in one line without white space around it, cut between characters.
  private static func line(_ text: String, maximumBytes: Int) -> (line: String, isWhole: Bool) {
    let read = String(decoding: text.utf8.prefix(4 * maximumBytes), as: UTF8.self)
    var scalars = String.UnicodeScalarView()
    for scalar in read.unicodeScalars {
      scalars.append(scalar.properties.generalCategory == .control ? " " : scalar)
    }
    var rest = String(scalars)[...].drop(while: \.isWhitespace)
    while rest.last?.isWhitespace == true { rest.removeLast() }
    var line = ""
    var bytes = 0
    for character in rest {
      bytes += character.utf8.count
      if bytes > maximumBytes { return (line, false) }
      line.append(character)
    }
    return (line, text.utf8.count <= 4 * maximumBytes)
  }
}
