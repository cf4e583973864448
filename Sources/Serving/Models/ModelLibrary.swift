package import BananaAPI
package import Logging
import Synchronization

/// The models of this machine: what is on the disk, what is open, and who uses it.
///
/// Everything is known from manifests alone; a package is opened for the first request that needs
/// it, one at a time, on a thread of the library's own. What is open stays so while there is room:
/// when another model needs it, the least recently used one that no job waits for is closed. Where
/// jobs wait for all of them, later requests for the one that has to go wait behind the other
/// model, so that no model's users keep it open for ever.
///
/// Nothing here waits for an opening but who asks for an engine: what is known is told at once, on
/// any thread.
package final class ModelLibrary: Sendable {
  /// Takes the share that is done, 0...1.
  package typealias Progress = @Sendable (Double) -> Void
  /// Opens a package and makes its engine; called on a thread that may block. What it throws says
  /// what is wrong and what to do.
  package typealias Opener =
    @Sendable (InstalledModel, _ progress: @escaping Progress) throws -> any PictureEngine

  package struct Settings: Sendable {
    /// The folders with the packages.
    package var folders: ModelFolders
    /// Opening what has failed is tried again at most this often.
    package var retryInterval: Duration
    /// The model of requests that name none; nil is the only one, or the one called sticker.
    package var defaultModel: String?

    package init(
      folders: ModelFolders, retryInterval: Duration = .seconds(5), defaultModel: String? = nil
    ) {
      self.folders = folders
      self.retryInterval = retryInterval
      self.defaultModel = defaultModel
    }
  }

  /// What is told of a model.
  package struct Report: Sendable {
    package var model: InstalledModel
    package var state: ModelState
    /// Of the opening, 0...1; nil for what is not being opened.
    package var progress: Double?
    /// Why it cannot be used.
    package var failure: (any Error)?
    /// As it was when it was open last; nil for what was not yet.
    package var description: ModelDescription?
    package var isDefault: Bool
  }

  let settings: Settings
  let list: @Sendable () -> [InstalledModel]
  /// What `list` depends on; nil when that is not known.
  let stamp: @Sendable () -> ModelFolders.Stamp?
  let opener: Opener
  let makePeelCheck: @Sendable (InstalledModel) throws -> PeelCheck
  let availableBytes: @Sendable () -> Int?
  let makeWay: @Sendable (Bool) -> Void
  let opened: @Sendable ([any PictureEngine]) -> Void
  let charge: @Sendable (Account, _ seconds: Double) async -> Void
  let logger: Logger
  let work = ModelWork("banana.models")
  let lists = ModelWork("banana.models.list")
  let shelf: Mutex<ModelShelf>

  /// - Parameters:
  ///   - list: Looks at the folders; called on a thread that may block.
  ///   - availableBytes: What is free for new work on the machine; nil when unknown.
  ///   - makeWay: Ends turns that are under way while an engine that is new needs its thread.
  ///   - peelCheck: Makes what checks peels against a model, without opening it; called on a thread
  ///     that may block.
  ///   - opened: Takes the engines that are open whenever they change.
  ///   - charge: Told how long it took to open a model, and whose request made it necessary.
  package init(
    settings: Settings, logger: Logger,
    list: (@Sendable () -> [InstalledModel])? = nil,
    availableBytes: @escaping @Sendable () -> Int? = { nil },
    makeWay: @escaping @Sendable (_ isWanted: Bool) -> Void = { _ in },
    opened: @escaping @Sendable ([any PictureEngine]) -> Void = { _ in },
    charge: @escaping @Sendable (Account, _ seconds: Double) async -> Void = { _, _ in },
    peelCheck: @escaping @Sendable (InstalledModel) throws -> PeelCheck = { _ in { _ in } },
    opener: @escaping Opener
  ) {
    self.settings = settings
    self.logger = logger
    let folders = settings.folders
    self.list = list ?? { folders.models() }
    stamp = { [isTold = list != nil] in isTold ? nil : folders.stamp() }
    self.availableBytes = availableBytes
    self.makeWay = makeWay
    self.opened = opened
    self.charge = charge
    self.opener = opener
    makePeelCheck = peelCheck
    shelf = Mutex(
      ModelShelf(defaultModel: settings.defaultModel, retryInterval: settings.retryInterval))
  }

  /// All models, by name.
  package var reports: [Report] {
    shelf.withLock { shelf in
      let standard = shelf.defaultName
      return shelf.entries.values.sorted { $0.model.name < $1.model.name }
        .map { $0.report(isDefault: $0.model.name == standard) }
    }
  }

  /// The model of requests that name none.
  package var defaultReport: Report? { reports.first(where: \.isDefault) }

  /// What computes; nil while no model is open.
  package var backend: String? { shelf.withLock { $0.engines.last?.model.backend } }

  /// Whether the folders were looked at.
  package var isListed: Bool { shelf.withLock(\.isListed) }

  /// Why requests that name no model have none; nil when they do.
  package var defaultFault: ModelLibraryError? {
    shelf.withLock { $0.defaultName == nil ? $0.missing(nil, in: settings.folders) : nil }
  }

  /// Takes on another default.
  package func apply(defaultModel: String?) {
    shelf.withLock { $0.defaultModel = defaultModel }
  }

  /// Looks at the folders and opens the default model, so that the first request does not wait.
  package func prepare() async {
    await rescan()
    _ = try? await lease(nil)
  }

  /// Refuses whoever waits, and opens nothing any more.
  package func stop() {
    let waiters = shelf.withLock { shelf in
      shelf.isStopping = true
      shelf.pending.removeAll()
      return shelf.takeWaiters()
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Looks at the folders again: what is new can be used, what was changed is opened anew once no
  /// job needs it as it was, and what failed may be tried again.
  package func rescan() async { await list(forgivingFailures: true) }

  /// Likewise, if the folders have changed since; then what failed without a change stays failed.
  package func look() async {
    let (known, stamp) = (shelf.withLock(\.stamp), stamp)
    if let known, let now = try? await lists.run(stamp), now == known { return }
    await list(forgivingFailures: false)
  }

  private func list(forgivingFailures: Bool) async {
    let (list, stamp) = (list, stamp)
    // In this order: what changes in between shows the next time.
    guard let (before, found) = try? await lists.run({ (stamp(), list()) }) else { return }
    let (change, retired, waiters) = shelf.withLock { shelf in
      let (change, retired) = shelf.take(
        found, stamp: before, forgivingFailures: forgivingFailures)
      return (change, retired, shelf.takeWaiters())
    }
    for waiter in waiters { waiter.resume() }
    for model in change {
      if let fault = model.fault {
        logger.error(
          "model left out", metadata: ["model": "\(model.name)", "reason": "\(fault)"])
      } else {
        logger.info("model found", metadata: ["model": "\(model.name)", "path": "\(model.path)"])
      }
    }
    if !retired.isEmpty { noteEngines() }
    await work.discard(retired)
  }

  func noteEngines() {
    opened(shelf.withLock(\.engines))
  }
}

// What engines hold.
extension ModelLibrary: GovernedEngine {
  /// Bytes that all engines hold beside mapped weights.
  package var residentBytes: Int {
    get async {
      var bytes = 0
      for engine in shelf.withLock(\.engines) { bytes += await engine.residentBytes }
      return bytes
    }
  }

  /// Gives memory back; what is not idle plans alone closes models that no job needs, but for the
  /// one that was used last.
  package func release(_ what: ReleasableMemory) async {
    if case .everything = what {
      while await closeLeastUsed(keeping: 1) {}
    }
    for engine in shelf.withLock(\.engines) { await engine.release(what) }
  }

  /// Gives back what other models than `name` hold.
  /// - Returns: Whether there was anything.
  func giveRoom(besides name: String) async -> Bool {
    if await closeLeastUsed(keeping: 0) { return true }
    var bytes = 0
    for engine in shelf.withLock(\.engines) where engine.model.name != name {
      let before = await engine.residentBytes
      await engine.release(.everything)
      bytes += before - (await engine.residentBytes)
    }
    if bytes > 0 { Allocator.trim() }
    return bytes > 0
  }

  /// Closes the model that nobody has used for the longest time, of those that no job needs.
  func closeLeastUsed(keeping count: Int) async -> Bool {
    guard
      let (name, engine) = shelf.withLock({ shelf in
        shelf.engines.count > count ? shelf.closeLeastUsed() : nil
      })
    else { return false }
    logger.notice("model closed", metadata: ["model": "\(name)", "reason": "others need the room"])
    noteEngines()
    await work.discard([engine])
    return true
  }
}
