/// An installed peel, held open by whoever draws with it.
package final class InstalledPeel: Sendable {
  package let name: String
  /// Of the file, in lower-case hexadecimal; the peel's identity.
  package let sha256: String
  /// The user whose it is; nil when it is for all.
  package let owner: UInt32?

  package init(name: String, sha256: String, owner: UInt32?) {
    self.name = name
    self.sha256 = sha256
    self.owner = owner
  }
}

extension InstalledPeel: Hashable {
  package static func == (one: InstalledPeel, other: InstalledPeel) -> Bool {
    one.sha256 == other.sha256
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(sha256)
  }
}
