import FoundationEssentials

/// The pages in docs/.
package enum Documents {
  package static func read(_ name: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return String(
      decoding: try Data(contentsOf: root.appending(path: "docs").appending(path: name)),
      as: UTF8.self)
  }
}
