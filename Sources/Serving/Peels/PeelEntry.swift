import BananaAPI
import Synchronization

/// One installed peel. A peel that is replaced becomes another entry.
final class PeelEntry: Sendable {
  /// What is open of it.
  struct Opened {
    /// Kept while it was used lately.
    var kept: InstalledPeel?
    /// What jobs still hold: nobody opens the file twice.
    weak var live: InstalledPeel?
    var opening: Task<Result<InstalledPeel, PeelRegistryError>, Never>?
  }

  let name: String
  let path: String
  /// Nil for one that came with Banana.
  let owner: PeelOwner?
  let pot: PeelPot
  /// Without the metadata where that can be read from the disk again.
  let record: PeelRecord
  /// What it takes on the disk, with what lies beside it.
  let diskBytes: Int
  let holders = PeelHolders()
  let opened = Mutex(Opened())
  /// Whether it fits each model that it was checked against.
  private let fits: Mutex<[PeelModels.Key: Bool]>

  init(
    name: String, path: String, owner: PeelOwner?, pot: PeelPot, record: PeelRecord,
    sidecarBytes: Int
  ) {
    fits = Mutex(record.fits ?? [:])
    self.name = name
    self.path = path
    self.owner = owner
    self.pot = pot
    diskBytes = record.bytes + sidecarBytes
    var record = record
    record.recognizeDistillation(of: name)
    if owner != nil { record.metadata = [:] }
    self.record = record
  }

  /// The models that it fits, of those that it was checked against.
  var fitting: [PeelModels.Key] { fits.withLock { $0.filter(\.value).map(\.key) } }

  func knows(_ models: Set<PeelModels.Key>) -> Bool {
    fits.withLock { fits in models.allSatisfy { fits[$0] != nil } }
  }

  func note(_ fitting: Set<PeelModels.Key>, of models: Set<PeelModels.Key>) {
    fits.withLock { fits in
      fits = Dictionary(uniqueKeysWithValues: models.map { ($0, fitting.contains($0)) })
    }
  }

  var scope: PeelInfo.Scope {
    switch owner {
    case nil: .shipped
    case .everyone: .shared
    case .user: .private
    }
  }

  /// As lists tell of it.
  var info: PeelInfo { record.info(name: name, scope: scope, withMetadata: false) }
}
