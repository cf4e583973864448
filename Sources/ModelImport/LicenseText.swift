import Weights

/// What checkpoints say of their licence.
enum LicenseText {
  private static let maximumBytes = 1 << 20

  /// The `license:` in the front matter of a model card.
  static func card(_ path: String) throws(FileError) -> String? {
    let file = try MappedFile(path: path, maximumBytes: maximumBytes, mapsAnyones: true)
    let text = withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmed }
    guard lines.first == "---" else { return nil }
    for line in lines.dropFirst().prefix(while: { $0 != "---" }) where line.hasPrefix("license:") {
      return plain(line.dropFirst("license:".count).trimmed)
    }
    return nil
  }

  /// A short line of what somebody wrote; nil if nothing is left.
  static func plain(_ text: Substring) -> String? {
    let scalars = text.unicodeScalars.filter { $0.properties.generalCategory != .control }
    let line = String(String.UnicodeScalarView(scalars.prefix(100)))
    return line.isEmpty ? nil : line
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var rest = self
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return rest
  }
}
