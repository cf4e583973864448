/// What a model may be called.
enum ModelName {
  private static func isPlain(_ byte: UInt8) -> Bool {
    0x30...0x39 ~= byte || 0x61...0x7A ~= byte || byte == 0x2D || byte == 0x2E || byte == 0x5F
  }

  /// - Throws: `ImportError.invalidName`.
  static func checked(_ name: String) throws(ImportError) -> String {
    let bytes = Array(name.utf8)
    let isLetterOrDigit = bytes.first.map { isPlain($0) && $0 > 0x2F && $0 != 0x5F } ?? false
    guard isLetterOrDigit, bytes.count <= 64, bytes.allSatisfy(isPlain) else {
      throw .invalidName(name)
    }
    return name
  }

  /// What a file or a folder is called, in lower case; what names do not have becomes "-".
  static func of(path: String) throws(ImportError) -> String {
    var stem = FileFacts.name(of: path).lowercased()
    if stem.hasSuffix(".safetensors") { stem.removeLast(".safetensors".count) }
    var bytes = stem.utf8.map { isPlain($0) ? $0 : 0x2D }
    while let first = bytes.first, first == 0x2D || first == 0x2E || first == 0x5F {
      bytes.removeFirst()
    }
    return try checked(String(decoding: bytes.prefix(64), as: UTF8.self))
  }
}
