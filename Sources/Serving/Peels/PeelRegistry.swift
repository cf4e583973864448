package import BananaAPI
import Diffusion
import FoundationEssentials
package import Logging
import Synchronization
import Weights

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The peels of this machine: those that came with Banana, those for all, and each user's own.
///
/// A user's own peel hides one for all of the same name, and that hides one that came with Banana.
/// What lies on the disk is checked whenever it is opened: it must be what was installed, and fit
/// the model. Files are only touched in `BackgroundWork`: what one user installs, or left on the
/// disk, delays nobody else, and nobody who only looks.
package final class PeelRegistry: Sendable {
  /// What one account may have, and all of them together.
  package struct Limits: Sendable, Equatable {
    package var peels: Int
    /// On the disk.
    package var bytes: Int
    /// On the disk, of all accounts.
    package var totalBytes: Int
    /// Installations at a time.
    package var uploads: Int
    /// Of one file.
    package var fileBytes: Int
    /// Of open files of an account; all accounts together may have twice as many.
    package var openBytes: Int

    /// An account has room for the largest file, its record, and as much again.
    package init(
      peels: Int = 64, bytes: Int = 2 << 30, totalBytes: Int = 8 << 30, uploads: Int = 4,
      fileBytes: Int = PeelLimits.fileBytes, openBytes: Int = PeelLimits.fileBytes
    ) {
      self.peels = peels
      self.bytes = bytes
      self.totalBytes = totalBytes
      self.uploads = uploads
      self.fileBytes = fileBytes
      self.openBytes = openBytes
    }
  }

  /// The folders that there were at the start, and who has read them.
  private struct Indexing {
    var folders: Task<Set<PeelOwner>, Never>?
    /// Counts what lies in folders that nobody has read yet.
    var measuring: Task<Void, Never>?
    /// By owner; nil for those that came with Banana.
    var readers: [PeelOwner?: Task<Void, Never>] = [:]
  }

  /// Pots whose files are worked on at a time; many, as whoever waits for the disk keeps a place.
  private static let pots = 16

  private let stateDirectory: String
  private let shippedDirectory: String?
  private let accounts: AccountBook
  let logger: Logger
  let models: PeelModels
  let index: Mutex<PeelIndex>
  /// What touches files: one piece of each pot at a time, beside those of others.
  let work: BackgroundWork<PeelPot>
  private let flush: @Sendable (Int32) -> Int32
  let memory = PeelMemory()
  private let indexing = Mutex(Indexing())

  /// - Parameters:
  ///   - stateDirectory: Its folder `peels` holds what is installed; made when needed.
  ///   - shippedDirectory: `NAME.safetensors` that everybody may use; only read.
  ///   - accounts: Whose limits a uid's peels count into.
  ///   - flush: Returns when what was written to a descriptor is on the disk, and 0 if it is.
  ///   - charge: Told of the processor time that was spent on an account's peels.
  package init(
    stateDirectory: String, shippedDirectory: String?, limits: Limits = Limits(),
    accounts: AccountBook = AccountBook(), logger: Logger, models: PeelModels,
    flush: @escaping @Sendable (Int32) -> Int32 = { fsync($0) },
    charge: @escaping BackgroundWork<Account>.Charge = { _, _ in }
  ) {
    self.stateDirectory = stateDirectory
    self.shippedDirectory = shippedDirectory
    self.accounts = accounts
    self.logger = logger
    self.models = models
    index = Mutex(PeelIndex(limits: limits))
    self.flush = flush
    work = BackgroundWork(width: Self.pots) { pot, seconds in
      if case .account(let account) = pot { await charge(account, seconds) }
    }
  }

  var limits: Limits { index.withLock { $0.limits } }

  /// Takes on new limits; what is installed already stays.
  package func apply(_ limits: Limits) {
    index.withLock { $0.limits = limits }
  }

  /// The peels that `viewer` can draw with, by name.
  package func list(for viewer: PeelOwner) async -> [PeelInfo] {
    await ready(for: viewer)
    let (installed, pot) = (models.installed(), await pot(of: viewer))
    var list: [PeelInfo] = []
    for entry in index.withLock({ $0.visible(to: viewer) }).values.sorted(by: { $0.name < $1.name })
    {
      var info = entry.info
      info.models = await names(of: entry, installed, in: pot)
      list.append(info)
    }
    return list
  }

  /// The names of the models that a peel fits. What was not known yet, for a model that is newer
  /// than the peel, is found out by the first whose turn comes, and remembered.
  /// - Parameter pot: Of who asks, and pays for it.
  func names(
    of entry: PeelEntry, _ installed: [PeelModels.Key: String], in pot: PeelPot
  ) async -> [String] {
    let keys = Set(installed.keys)
    if !entry.knows(keys) {
      await work.inTurn(of: pot) { turn in
        await entry.comparing.value { [self] in
          if !entry.knows(keys) { await compare(entry, with: keys, turn) }
        }
      }
    }
    return entry.fitting.compactMap { installed[$0] }.sorted()
  }

  private func compare(
    _ entry: PeelEntry, with models: Set<PeelModels.Key>, _ turn: BackgroundWork<PeelPot>.Turn
  ) async {
    let path = entry.path
    let file = try? await turn.run { () throws(PeelRegistryError) in try Self.read(path) }
    var fits: Set<PeelModels.Key>?
    if let file, file.sha256 == entry.record.sha256 {
      fits = try? await checkAgainstModels(OpenPeel(file), turn)
    }
    entry.note(fits ?? [], of: models)
  }

  /// Peels that are installed for all, as far as the disk was read by now.
  package var sharedCount: Int { index.withLock { $0.visible(to: .everyone) }.count }

  /// All that is known of one peel.
  package func show(
    _ name: String, for viewer: PeelOwner
  ) async throws(PeelRegistryError) -> PeelInfo {
    await ready(for: viewer)
    let entry = try find(name, for: viewer)
    var record = entry.record
    let pot = await pot(of: viewer)
    if let owner = entry.owner {
      let folder = folder(of: owner)
      let stored = try await work.run(for: pot) { () throws(PeelRegistryError) in
        folder.storedRecord(of: name, sha256: entry.record.sha256)
      }
      record = stored ?? record
    }
    var info = record.info(name: name, scope: entry.scope, withMetadata: true)
    info.models = await names(of: entry, models.installed(), in: pot)
    return info
  }

  /// Removes a peel, and returns when no job draws with it any more.
  /// - Parameters:
  ///   - owner: Whose peel it is; nobody else's is touched.
  ///   - timeout: Returns after this long in any case. The peel is gone either way.
  package func remove(
    _ name: String, of owner: PeelOwner, timeout: Duration
  ) async throws(PeelRegistryError) -> PeelRemoval {
    await ready(for: owner)
    let folder = folder(of: owner)
    let pot = await pot(of: owner)
    let entry = try await work.inTurn(of: pot) { (turn) async throws(PeelRegistryError) in
      guard let entry = index.withLock({ $0.owned(name, by: owner) }) else {
        switch try find(name, for: owner).scope {
        case .shipped: throw .shipped(name: name)
        case .shared, .private: throw .notYours(name: name)
        }
      }
      try await turn.run { () throws(PeelRegistryError) in try folder.remove(name) }
      index.withLock { $0.remove(entry) }
      return entry
    }
    logger.notice("peel removed", metadata: ["peel": "\(name)", "owner": "\(owner.folderName)"])
    return PeelRemoval(name: name, inUse: !(await entry.holders.isFree(within: timeout)))
  }

  func find(_ name: String, for viewer: PeelOwner) throws(PeelRegistryError) -> PeelEntry {
    if let entry = index.withLock({ $0.visible(name, to: viewer) }) { return entry }
    guard PeelLimits.isName(name) else { throw .badName(name) }
    throw .notFound(
      name: name, known: index.withLock { $0.visible(to: viewer) }.keys.sorted())
  }

  func folder(of owner: PeelOwner) -> PeelFolder {
    PeelFolder(path: "\(stateDirectory)/peels/\(owner.folderName)", flush: flush)
  }

  func pot(of owner: PeelOwner) async -> PeelPot {
    switch owner {
    case .user(let uid): .account(await accounts.account(of: uid))
    case .everyone: .everyone
    }
  }
}

// What is on the disk when the daemon starts.
extension PeelRegistry {
  /// Clears away what a crash left, so that the first request does not wait for it.
  package func prepare() async {
    await read(nil)
    for owner in await folders() { await read(owner) }
  }

  /// Waits until what `viewer` can see is known.
  func ready(for viewer: PeelOwner) async {
    await read(nil)
    let folders = await folders()
    for owner in [.everyone, viewer] where folders.contains(owner) { await read(owner) }
  }

  /// Whose folders there were at the start; later ones are made by this daemon.
  private func folders() async -> Set<PeelOwner> {
    let path = "\(stateDirectory)/peels"
    let task = indexing.withLock { indexing in
      let task =
        indexing.folders
        ?? Task { [work] in
          let names = try? await work.run(for: .shipped) { () throws(PeelRegistryError) in
            (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
          }
          return Set((names ?? []).compactMap(PeelOwner.init(folderName:)))
        }
      indexing.folders = task
      return task
    }
    return await task.value
  }

  /// Waits until it is known how much all accounts have on the disk; whose folder was not read by
  /// now is counted by the sizes of its files.
  func measured() async {
    let task = indexing.withLock { indexing in
      let task = indexing.measuring ?? Task { [self] in await measure() }
      indexing.measuring = task
      return task
    }
    await task.value
  }

  private func measure() async {
    for owner in await folders() {
      let folder = folder(of: owner)
      let pot = await pot(of: owner)
      // In nobody's turn: some calls of the kernel, for room that others are to be told of.
      let use = await work.run(for: .shipped) { folder.measure() }
      index.withLock { $0.count(unread: use, of: owner, in: pot) }
    }
  }

  /// Reads an owner's folder, once.
  private func read(_ owner: PeelOwner?) async {
    let task = indexing.withLock { indexing in
      let task =
        indexing.readers[owner]
        ?? Task { [self] in
          if let owner { await readFolder(of: owner) } else { await readShipped() }
        }
      indexing.readers[owner] = task
      return task
    }
    await task.value
  }

  private func readFolder(of owner: PeelOwner) async {
    let folder = folder(of: owner)
    let pot = await pot(of: owner)
    await work.inTurn(of: pot) { turn in
      let entries = await turn.run {
        folder.recover().map { name, record in
          PeelEntry(
            name: name, path: folder.peelPath(name), owner: owner, pot: pot, record: record,
            sidecarBytes: PeelFolder.sidecarBytes(of: record))
        }
      }
      index.withLock { index in
        index.endUnread(of: owner)
        for entry in entries { index.add(entry) }
      }
    }
  }

  private func readShipped() async {
    guard let shippedDirectory else { return }
    await work.inTurn(of: .shipped) { turn in
      let found = await turn.run { Self.shipped(in: shippedDirectory) }
      index.withLock { index in for entry in found.entries { index.add(entry) } }
      for (path, error) in found.faults {
        logger.error("peel left out", metadata: ["path": "\(path)", "reason": "\(error)"])
      }
    }
  }

  private static func shipped(
    in directory: String
  ) -> (entries: [PeelEntry], faults: [(path: String, PeelError)]) {
    var entries: [PeelEntry] = []
    var faults: [(path: String, PeelError)] = []
    let files = try? FileManager.default.contentsOfDirectory(atPath: directory)
    for file in files ?? [] where file.hasSuffix(".safetensors") {
      let name = String(file.dropLast(".safetensors".count))
      let path = "\(directory)/\(file)"
      guard PeelLimits.isName(name) else { continue }
      do throws(PeelError) {
        let record = PeelRecord(try PeelFile(path: path), installedAt: nil)
        entries.append(
          PeelEntry(
            name: name, path: path, owner: nil, pot: .shipped, record: record, sidecarBytes: 0))
      } catch { faults.append((path, error)) }
    }
    return (entries, faults)
  }
}
