#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Reads the small text files that the kernel shows.
enum KernelFile {
  /// Longest text that is read, in bytes.
  static let maximumBytes = 16_384

  /// The text without white space around it, or nil where it cannot be read or is no UTF-8.
  static func text(_ path: String) -> String? {
    bytes(path, upTo: maximumBytes).flatMap { String(validating: $0, as: UTF8.self)?.trimmed }
  }

  /// The first `limit` bytes of a file, or nil where it cannot be read.
  static func bytes(_ path: String, upTo limit: Int) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: min(limit, maximumBytes))
    while bytes.count < limit {
      let got = buffer.withUnsafeMutableBytes {
        read(descriptor, $0.baseAddress, min($0.count, limit - bytes.count))
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { return nil }
      if got == 0 { break }
      bytes += buffer[..<got]
    }
    return bytes
  }

  /// The decimal number that is all of the file's text.
  static func integer(_ path: String) -> Int? {
    text(path).flatMap { Int($0) }
  }

  /// The number after `label` at the beginning of a line; nil where none is or it is negative.
  static func figure(_ label: String, in path: String) -> Int? {
    guard let text = text(path) else { return nil }
    for line in text.split(separator: "\n") {
      let words = line.split { $0 == " " || $0 == "\t" }
      if words.count >= 2, words[0] == label { return Int(words[1]).flatMap { $0 < 0 ? nil : $0 } }
    }
    return nil
  }

  /// Names in a directory that begin with `prefix`, sorted; none where there is no directory.
  static func names(in directory: String, prefix: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix(prefix) { names.append(name) }
    }
    return names.sorted()
  }
}

extension String {
  /// Without spaces and line ends at both ends.
  fileprivate var trimmed: String {
    var rest = self[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }
}
