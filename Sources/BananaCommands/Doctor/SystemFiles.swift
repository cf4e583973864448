import FoundationEssentials

/// What the kernel tells in files; the roots are parameters so that tests can stand in for it.
struct SystemFiles: Sendable {
  var proc = "/proc"
  var sys = "/sys"
  var run = "/run"

  /// A file's text without the newline at its end; nil when it cannot be read.
  func text(_ path: String) -> String? {
    guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self)
    return text.hasSuffix("\n") ? String(text.dropLast()) : text
  }

  func names(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
  }

  func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path)
  }
}
