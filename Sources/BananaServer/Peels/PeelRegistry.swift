package import BananaAPI
import Dispatch
import FoundationEssentials
package import Logging
import NIOPosix
package import Weights

/// Whose peels are meant.
package enum PeelOwner: Hashable, Sendable {
  /// Those that this uid alone can draw with.
  case user(UInt32)
  /// Those that an administrator installed for all.
  case everyone

  var folderName: String {
    switch self {
    case .user(let uid): "\(uid)"
    case .everyone: "all"
    }
  }
}

/// The peels of this machine: those that came with Banana, those for all, and each user's own.
///
/// A user's own peel hides one for all of the same name, and that hides one that came with Banana.
/// What lies on the disk is checked whenever it is opened: it must be what was installed, and fit
/// the model.
package actor PeelRegistry {
  /// What the owners of one account may have.
  package struct Limits: Sendable, Equatable {
    package var peels: Int
    package var bytes: Int
    /// Installations at a time.
    package var uploads: Int
    /// Of the peels of all owners together.
    package var totalBytes: Int

    package init(
      peels: Int = 64, bytes: Int = 512 << 20, uploads: Int = 4, totalBytes: Int = 8 << 30
    ) {
      self.peels = peels
      self.bytes = bytes
      self.uploads = uploads
      self.totalBytes = totalBytes
    }
  }

  /// Whether the resident model can draw with a peel; what it throws says why not.
  package typealias Check = @Sendable (PeelFile) async throws -> Void

  /// One installed peel. A peel that is replaced becomes another entry.
  private final class Entry {
    let name: String
    let path: String
    let scope: PeelInfo.Scope
    let record: PeelRecord
    let holders = PeelHolders()
    /// Kept while it was used lately.
    var open: InstalledPeel?

    init(name: String, path: String, scope: PeelInfo.Scope, record: PeelRecord) {
      self.name = name
      self.path = path
      self.scope = scope
      self.record = record
    }
  }

  /// Bytes of the files whose peels are kept open between jobs.
  private static let keptBytes = 32 << 20

  private let stateDirectory: String
  private let shippedDirectory: String?
  private(set) var limits: Limits
  let logger: Logger
  private let check: Check
  private let accounts: AccountBook
  // Files are touched in here, and a disk may be slow: not on the cooperative threads.
  private let thread = PeelThread()
  private var isIndexed = false
  private var shipped: [String: Entry] = [:]
  private var owned: [PeelOwner: [String: Entry]] = [:]
  /// Those with an open peel, the latest last.
  private var recent: [Entry] = []
  /// By who pays.
  private var uploads: [PeelOwner: Int] = [:]
  /// Whose quota each owner's peels count into.
  private var payers: [PeelOwner: PeelOwner] = [:]

  nonisolated package var unownedExecutor: UnownedSerialExecutor {
    thread.asUnownedSerialExecutor()
  }

  /// - Parameters:
  ///   - stateDirectory: Its folder `peels` holds what is installed; made when needed.
  ///   - shippedDirectory: `NAME.safetensors` that everybody may use; only read.
  ///   - accounts: Which owners have one quota together.
  package init(
    stateDirectory: String, shippedDirectory: String?, limits: Limits = Limits(),
    accounts: AccountBook, logger: Logger, check: @escaping Check
  ) {
    self.stateDirectory = stateDirectory
    self.shippedDirectory = shippedDirectory
    self.limits = limits
    self.accounts = accounts
    self.logger = logger
    self.check = check
  }

  /// Takes on new limits; what is installed already stays.
  package func apply(_ limits: Limits) {
    self.limits = limits
  }

  /// Clears away what a crash left, so that the first request does not wait for it.
  package func prepare() {
    index()
  }

  /// The peels that `viewer` can draw with, by name.
  package func list(for viewer: PeelOwner) -> [PeelInfo] {
    visible(to: viewer).values.sorted { $0.name < $1.name }
      .map { $0.record.info(name: $0.name, scope: $0.scope, withMetadata: false) }
  }

  /// All that is known of one peel.
  package func show(
    _ name: String, for viewer: PeelOwner
  ) throws(PeelRegistryError) -> PeelInfo {
    let entry = try find(name, for: viewer)
    return entry.record.info(name: entry.name, scope: entry.scope, withMetadata: true)
  }

  /// The peel that `uid` means by `name`, open and checked.
  /// - Throws: `APIError` with code `peelNotFound` or `peelInvalid`.
  package func resolve(_ name: String, for uid: UInt32) async throws(APIError) -> InstalledPeel {
    do throws(PeelRegistryError) {
      return try await open(name, for: .user(uid))
    } catch {
      var refusal = APIError(error)
      if refusal.param != nil { refusal.param = "peels" }
      throw refusal
    }
  }

  /// Removes a peel, and returns when no job draws with it any more.
  /// - Parameters:
  ///   - owner: Whose peel it is; nobody else's is touched.
  ///   - timeout: Returns after this long in any case. The peel is gone either way.
  package func remove(
    _ name: String, of owner: PeelOwner, timeout: Duration
  ) async throws(PeelRegistryError) -> PeelRemoval {
    index()
    guard let entry = owned[owner]?[name] else {
      switch try find(name, for: owner).scope {
      case .shipped: throw .shipped(name: name)
      case .shared, .private: throw .notYours(name: name)
      }
    }
    try folder(of: owner).remove(name)
    owned[owner]![name] = nil
    close(entry)
    logger.notice("peel removed", metadata: ["peel": "\(name)", "owner": "\(owner.folderName)"])
    return PeelRemoval(name: name, inUse: !(await entry.holders.isFree(within: timeout)))
  }

  private func open(
    _ name: String, for viewer: PeelOwner
  ) async throws(PeelRegistryError) -> InstalledPeel {
    while true {
      let entry = try find(name, for: viewer)
      if let peel = entry.open {
        keep(peel, of: entry)
        return peel
      }
      let outcome: Result<PeelFile, PeelRegistryError>
      do throws(PeelRegistryError) {
        outcome = .success(try await checked(path: entry.path, expecting: entry))
      } catch {
        outcome = .failure(error)
      }
      // It may have been removed or replaced meanwhile: then the new one is meant.
      guard visible(to: viewer)[name] === entry else { continue }
      let uid: UInt32? =
        if entry.scope == .private, case .user(let uid) = viewer { uid } else { nil }
      let peel = InstalledPeel(
        name: name, file: try outcome.get(), owner: uid, holders: entry.holders)
      keep(peel, of: entry)
      return peel
    }
  }

  private func checked(
    path: String, expecting entry: Entry
  ) async throws(PeelRegistryError) -> PeelFile {
    guard FileManager.default.fileExists(atPath: path) else { throw .vanished(name: entry.name) }
    let file = try await Self.read(path)
    guard file.sha256 == entry.record.sha256 else {
      throw .changed(name: entry.name, expected: entry.record.sha256, actual: file.sha256)
    }
    try await checkAgainstModel(file)
    return file
  }

  private func keep(_ peel: InstalledPeel, of entry: Entry) {
    recent.removeAll { $0 === entry }
    recent.append(entry)
    entry.open = peel
    var bytes = 0
    for other in recent.reversed() {
      bytes += other.record.bytes
      if bytes > Self.keptBytes { close(other) }
    }
  }

  private func close(_ entry: Entry) {
    recent.removeAll { $0 === entry }
    entry.open = nil
  }

  private func visible(to viewer: PeelOwner) -> [String: Entry] {
    index()
    var all = shipped
    all.merge(owned[.everyone] ?? [:]) { $1 }
    all.merge(owned[viewer] ?? [:]) { $1 }
    return all
  }

  private func find(
    _ name: String, for viewer: PeelOwner
  ) throws(PeelRegistryError) -> Entry {
    let visible = visible(to: viewer)
    if let entry = visible[name] { return entry }
    guard PeelLimits.isName(name) else { throw .badName(name) }
    throw .notFound(name: name, known: visible.keys.sorted())
  }

  func checkAgainstModel(_ file: PeelFile) async throws(PeelRegistryError) {
    do {
      try await check(file)
    } catch let error as APIError {
      throw .model(error)
    } catch {
      throw .invalid(reason: "\(error)")
    }
  }

  /// Parses a file on a thread that may block.
  static func read(_ path: String) async throws(PeelRegistryError) -> PeelFile {
    try await blocking { () throws(PeelRegistryError) in
      do throws(PeelError) { return try PeelFile(path: path) } catch {
        throw .invalid(reason: "\(error)")
      }
    }
  }

  /// Runs `body` on a thread that may block.
  static func blocking<Value: Sendable>(
    _ body: @escaping @Sendable () throws(PeelRegistryError) -> Value
  ) async throws(PeelRegistryError) -> Value {
    let result: Result<Value, PeelRegistryError>
    do {
      result = try await NIOThreadPool.singleton.runIfActive { Result(catching: body) }
    } catch {
      // Only a cancelled task is refused: its client is gone.
      throw .uploadBroken
    }
    return try result.get()
  }
}

// What is installed.
extension PeelRegistry {
  func folder(of owner: PeelOwner) -> PeelFolder {
    PeelFolder(path: "\(stateDirectory)/peels/\(owner.folderName)")
  }

  /// Reads what is on the disk, once.
  private func index() {
    if isIndexed { return }
    isIndexed = true
    if let shippedDirectory { indexShipped(shippedDirectory) }
    let names = try? FileManager.default.contentsOfDirectory(atPath: "\(stateDirectory)/peels")
    for name in names ?? [] {
      let owner: PeelOwner
      if name == PeelOwner.everyone.folderName {
        owner = .everyone
      } else if let uid = UInt32(name), name == "\(uid)" {
        owner = .user(uid)
      } else {
        continue
      }
      for (name, record) in folder(of: owner).recover() { add(record, as: name, of: owner) }
    }
  }

  private func indexShipped(_ directory: String) {
    let files = try? FileManager.default.contentsOfDirectory(atPath: directory)
    for file in files ?? [] where file.hasSuffix(".safetensors") {
      let name = String(file.dropLast(".safetensors".count))
      let path = "\(directory)/\(file)"
      guard PeelLimits.isName(name) else { continue }
      do throws(PeelError) {
        let record = PeelRecord(try PeelFile(path: path), installedAt: nil)
        shipped[name] = Entry(name: name, path: path, scope: .shipped, record: record)
      } catch {
        logger.error("peel left out", metadata: ["path": "\(path)", "reason": "\(error)"])
      }
    }
  }

  /// Makes `record` the peel that `owner` means by `name`.
  func add(_ record: PeelRecord, as name: String, of owner: PeelOwner) {
    if let old = owned[owner]?[name] { close(old) }
    owned[owner, default: [:]][name] = Entry(
      name: name, path: folder(of: owner).peelPath(name),
      scope: owner == .everyone ? .shared : .private, record: record)
  }

  /// The record of a peel that `owner` has.
  func record(of name: String, of owner: PeelOwner) -> PeelRecord? {
    index()
    return owned[owner]?[name]?.record
  }

  /// Finds out who pays for the peels of `owner`, and of all others that have some.
  func findPayers(with owner: PeelOwner) async {
    index()
    for one in Set(owned.keys).union([owner]) {
      guard case .user(let uid) = one else { continue }
      let payer: PeelOwner =
        switch await accounts.account(of: uid) {
        case .user(let uid): .user(uid)
        // As nobody's.
        case .unknown: .user(.max)
        }
      payers[one] = payer
    }
  }

  private func payer(of owner: PeelOwner) -> PeelOwner { payers[owner] ?? owner }

  /// Peels and their bytes that the payer for `owner` has, and the bytes of everybody's, without
  /// the owner's `name`.
  func usage(
    of owner: PeelOwner, without name: String
  ) -> (peels: Int, bytes: Int, totalBytes: Int) {
    index()
    let payer = payer(of: owner)
    var usage = (peels: 0, bytes: 0, totalBytes: 0)
    for (other, entries) in owned {
      for entry in entries.values where other != owner || entry.name != name {
        usage.totalBytes += entry.record.bytes
        if self.payer(of: other) != payer { continue }
        usage.peels += 1
        usage.bytes += entry.record.bytes
      }
    }
    return usage
  }

  /// - Throws: `PeelRegistryError.tooManyUploads`.
  /// - Returns: Who pays, for `endUpload`.
  func beginUpload(of owner: PeelOwner) throws(PeelRegistryError) -> PeelOwner {
    let payer = payer(of: owner)
    guard uploads[payer, default: 0] < limits.uploads else {
      throw .tooManyUploads(maximumUploads: limits.uploads)
    }
    uploads[payer, default: 0] += 1
    return payer
  }

  func endUpload(of payer: PeelOwner) {
    uploads[payer]! -= 1
    if uploads[payer] == 0 { uploads[payer] = nil }
  }
}

/// Runs the registry's work one after another, away from the cooperative threads.
private final class PeelThread: SerialExecutor {
  private let queue = DispatchQueue(label: "banana.peels", qos: .userInitiated)

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedSerialExecutor()
    queue.async { job.runSynchronously(on: executor) }
  }
}
