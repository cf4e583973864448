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
  let opening = SharedWork<Result<InstalledPeel, PeelRegistryError>>()
  /// Reads it for models that are newer than what is known of it.
  let comparing = SharedWork<Void>()
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

  /// The peel where somebody has it open already.
  var live: InstalledPeel? { opened.withLock { $0.kept ?? $0.live } }

  /// Whether it is kept open, and nobody draws with it.
  var isIdle: Bool { opened.withLock { isKnownUniquelyReferenced(&$0.kept) } }

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

/// Work of which there is one at a time, for all who want what comes of it.
final class SharedWork<Value: Sendable>: Sendable {
  private let current = Mutex<Task<Value, Never>?>(nil)

  /// What the work gives that is under way, or else `work`.
  func value(_ work: @escaping @Sendable () async -> Value) async -> Value {
    let task = current.withLock { current in
      let task =
        current
        ?? Task { [self] in
          let value = await work()
          self.current.withLock { $0 = nil }
          return value
        }
      current = task
      return task
    }
    return await task.value
  }
}
