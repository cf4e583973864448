import BananaAPI
import Weights

/// What is known of a peel's file beside its content: the JSON that lies beside it.
struct PeelRecord: Codable, Sendable, Equatable {
  /// Bytes of metadata that are kept; trainers write whole histories into it.
  static let maximumMetadataBytes = 64 << 10

  var sha256: String
  var bytes: Int
  var rank: Int
  var targets: Int
  /// Seconds since 1970; nil for a peel that came with Banana.
  var installedAt: Int?
  var title: String?
  var triggerWords: [String]
  var license: String?
  var baseModel: String?
  var metadata: [String: String]

  init(_ file: PeelFile, installedAt: Int?) {
    sha256 = file.sha256
    bytes = file.byteCount
    rank = file.rank
    targets = file.updates.count
    self.installedAt = installedAt
    title = file.title
    triggerWords = file.triggerWords
    license = file.license
    baseModel = file.baseModel
    metadata = [:]
    var room = Self.maximumMetadataBytes
    for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) {
      let needed = key.utf8.count + value.utf8.count
      if needed > room || value.utf8.count > 4096 { continue }
      room -= needed
      metadata[key] = value
    }
  }

  func info(name: String, scope: PeelInfo.Scope, withMetadata: Bool) -> PeelInfo {
    PeelInfo(
      name: name, scope: scope, bytes: bytes, sha256: sha256, rank: rank, targets: targets,
      installedAt: installedAt, title: title, triggerWords: triggerWords, license: license,
      baseModel: baseModel, metadata: withMetadata ? metadata : nil)
  }
}
