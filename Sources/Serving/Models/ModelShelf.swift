import BananaAPI

/// What a library knows at the moment; decides and never waits.
struct ModelShelf {
  enum State {
    case closed
    case opening(Double)
    case open(any PictureEngine)
    case failed(any Error)
  }

  /// What a look at the folders said of a model that is in use.
  enum Successor {
    case replaced(InstalledModel)
    case removed
  }

  struct Entry {
    let model: InstalledModel
    var state = State.closed
    var description: ModelDescription?
    /// Of the files of an open model.
    var mappedBytes = 0
    /// Jobs and requests that use its engine.
    var leases = 0
    /// Requests that wait for it.
    var interest = 0
    var lastUse = 0
    /// Tries to open it that have ended, and how the last one did.
    var tries = 0
    var lastTry: (failure: ModelLibraryError?, at: ContinuousClock.Instant)?
    /// Has to go for another model, or for what is in its place on the disk by now.
    var isRetiring = false
    var successor: Successor?
    /// Made for the first peel.
    var peelCheck: ModelLibrary.PeelCheck?

    func peelCheck(of model: InstalledModel) -> ModelLibrary.PeelCheck? {
      self.model == model ? peelCheck : nil
    }

    /// Equal for packages of equal networks and weights.
    let peelKey: PeelModels.Key

    init(_ model: InstalledModel) {
      self.model = model
      peelKey = model.files.sorted { $0.key < $1.key }
        .reduce(into: "\(model.name) \(model.version)") { $0 += " \($1.value)" }
    }

    var engine: (any PictureEngine)? {
      if case .open(let engine) = state { engine } else { nil }
    }

    func report(isDefault: Bool) -> ModelLibrary.Report {
      var report = ModelLibrary.Report(
        model: model, state: .closed, description: description, isDefault: isDefault)
      switch state {
      case .closed:
        if case .noRoom = lastTry?.failure { report.failure = lastTry?.failure }
      case .open: report.state = .open
      case .opening(let progress): (report.state, report.progress) = (.opening, progress)
      case .failed(let error): (report.state, report.failure) = (.failed, error)
      }
      if let fault = model.fault { (report.state, report.failure) = (.failed, fault) }
      return report
    }
  }

  /// What a request waits for.
  struct Wait {
    var name: String
    /// As it was when it began to wait.
    var tries: Int
  }

  /// What a request is told.
  enum Answer {
    case lease(any PictureEngine, mappedBytes: Int, name: String)
    case failure(ModelLibraryError)
    /// The folders have to be looked at first.
    case list
    /// Somebody is opening it, or has to begin.
    case wait(version: Int)
  }

  var defaultModel: String?
  let retryInterval: Duration
  var entries: [String: Entry] = [:]
  /// A model to open, and the account that has asked first; nil is the daemon itself.
  struct Pending {
    var name: String
    var account: Account?
  }

  /// In the order in which they were asked for.
  var pending: [Pending] = []
  var isWorking = false
  var isStopping = false
  private(set) var isListed = false
  /// Of the folders as they were looked at last; nil where that tells nothing.
  private(set) var stamp: ModelFolders.Stamp?
  /// Counts changes for which somebody may wait.
  private(set) var version = 0
  private var waiters: [CheckedContinuation<Void, Never>] = []
  private var lastUse = 0

  init(defaultModel: String?, retryInterval: Duration) {
    self.defaultModel = defaultModel
    self.retryInterval = retryInterval
  }

  /// In the order in which they were used.
  var engines: [any PictureEngine] {
    entries.values.filter { $0.engine != nil }.sorted { $0.lastUse < $1.lastUse }
      .compactMap(\.engine)
  }

  /// Those that can be used: the default one, then the others by name.
  var usable: [Entry] {
    let (names, first) = (usableNames, defaultName)
    return (names.filter { $0 == first } + names.filter { $0 != first }).compactMap { entries[$0] }
  }

  var usableNames: [String] {
    entries.values.filter { $0.model.fault == nil }.map(\.model.name).sorted()
  }

  var defaultName: String? {
    if let defaultModel { return entries[defaultModel] == nil ? nil : defaultModel }
    let usable = usableNames
    if usable.isEmpty, entries.count == 1 { return entries.keys.first }
    return usable.count == 1 ? usable[0] : usable.first { $0 == "sticker" }
  }

  /// The error for a model that is not there.
  func missing(_ name: String?, in folders: ModelFolders) -> ModelLibraryError {
    if entries.isEmpty { return .noModels(folders) }
    if let name = name ?? defaultModel {
      return .notInstalled(name: name, installed: usableNames)
    }
    return .noDefault(installed: usableNames)
  }

  /// Waits for a change after `version`; the continuation is resumed at once if there was one.
  mutating func wait(after version: Int, _ waiter: CheckedContinuation<Void, Never>) -> Bool {
    guard version == self.version else { return false }
    waiters.append(waiter)
    return true
  }

  /// Notes a change; whoever waits for one is to be resumed.
  mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
    version += 1
    defer { waiters.removeAll() }
    return waiters
  }

  /// What a request for a model gets now.
  /// - Parameters:
  ///   - account: Who asks.
  ///   - wait: What it waits for by now; counted as such.
  ///   - hasListed: It has looked at the folders itself.
  mutating func answer(
    _ wanted: String?, for account: Account?, _ wait: inout Wait?, hasListed: Bool,
    in folders: ModelFolders, now: ContinuousClock.Instant
  ) -> Answer {
    if isStopping { return .failure(.stopping) }
    guard isListed else { return .list }
    let mayList = wait == nil && !hasListed
    guard let name = wanted ?? defaultName, var entry = entries[name] else {
      return mayList ? .list : .failure(missing(wanted, in: folders))
    }
    if let fault = entry.model.fault {
      return mayList ? .list : .failure(.unusable(name: name, reason: fault))
    }
    if let engine = entry.engine, !entry.isRetiring {
      lastUse += 1
      entry.lastUse = lastUse
      entry.leases += 1
      entries[name] = entry
      return .lease(engine, mappedBytes: entry.mappedBytes, name: name)
    }
    // What is to be opened may be gone, or another by now.
    if mayList, entry.engine == nil { return .list }
    if let (failure, at) = entry.lastTry, let failure {
      let isOwn = wait.map { $0.name == name && entry.tries > $0.tries } ?? false
      if isOwn { return .failure(failure) }
      if case .failed = entry.state, wait == nil, now - at < retryInterval {
        return .failure(failure)
      }
    }
    if wait?.name != name {
      endWait(&wait)
      wait = Wait(name: name, tries: entry.tries)
      entries[name]?.interest += 1
    }
    switch entry.state {
    // One that has to go is asked for again when it is gone.
    case .opening, .open: break
    case .closed, .failed:
      if !pending.contains(where: { $0.name == name }) {
        pending.append(Pending(name: name, account: account))
      }
    }
    return .wait(version: version)
  }

  /// Notes that a request waits no longer.
  mutating func endWait(_ wait: inout Wait?) {
    if let wait, let interest = entries[wait.name]?.interest {
      entries[wait.name]?.interest = max(interest - 1, 0)
    }
    wait = nil
  }

  /// The next model to open; nil when there is none, and somebody else has to begin then.
  mutating func next() -> (model: InstalledModel, account: Account?)? {
    while !isStopping, !pending.isEmpty {
      let first = pending.removeFirst()
      guard var entry = entries[first.name], entry.interest > 0 else { continue }
      if entry.engine != nil { continue }
      entry.state = .opening(0)
      entries[first.name] = entry
      return (entry.model, first.account)
    }
    isWorking = false
    return nil
  }

  mutating func note(progress: Double, of model: InstalledModel) {
    guard case .opening = entries[model.name]?.state else { return }
    entries[model.name]?.state = .opening(min(max(progress, 0), 1))
  }

  /// Bytes that are left of `available` when the mapped files of all open models are in memory.
  func room(of available: Int) -> Int {
    entries.values.reduce(available) { $0 - ($1.engine == nil ? 0 : $1.mappedBytes) }
  }

  /// Closes what nobody has used for the longest time, of what nobody needs.
  mutating func closeLeastUsed() -> (name: String, any PictureEngine)? {
    let idle = entries.values.filter { $0.engine != nil && $0.leases == 0 }
    guard let entry = idle.min(by: { $0.lastUse < $1.lastUse }), let engine = entry.engine else {
      return nil
    }
    close(entry.model.name)
    return (entry.model.name, engine)
  }

  private mutating func close(_ name: String) {
    guard var entry = entries[name] else { return }
    entry.state = .closed
    entry.mappedBytes = 0
    entry.isRetiring = false
    switch entry.successor {
    case nil: entries[name] = entry
    case .replaced(let model):
      var replacement = Entry(model)
      (replacement.interest, replacement.tries) = (entry.interest, entry.tries)
      entries[name] = replacement
    case .removed: entries[name] = nil
    }
  }

  /// Lets the model that was used the longest time ago make way once its jobs are done.
  mutating func retireLeastUsed() -> Bool {
    let open = entries.values.filter { $0.engine != nil }
    if open.contains(where: \.isRetiring) { return true }
    guard let entry = open.min(by: { $0.lastUse < $1.lastUse }) else { return false }
    entries[entry.model.name]?.isRetiring = true
    return true
  }

  /// Ends the opening of a model.
  /// - Returns: An engine that is of no use any more.
  mutating func end(
    _ model: InstalledModel, _ result: Result<any PictureEngine, ModelLibraryError>,
    mappedBytes: Int, now: ContinuousClock.Instant
  ) -> (any PictureEngine)? {
    // Who only had to make way for this one stays.
    for name in entries.keys where entries[name]?.successor == nil {
      entries[name]?.isRetiring = false
    }
    guard var entry = entries[model.name] else { return try? result.get() }
    if case .failure(.cancelled) = result {
      entries[model.name]?.state = .closed
      return nil
    }
    entry.tries += 1
    switch result {
    case .success(let engine):
      lastUse += 1
      entry.lastUse = lastUse
      entry.state = .open(engine)
      entry.description = engine.model
      entry.mappedBytes = mappedBytes
      entry.lastTry = (nil, now)
    case .failure(let error):
      entry.state = .closed
      if case .unusable(_, let reason) = error { entry.state = .failed(reason) }
      entry.lastTry = (error, now)
    }
    entries[model.name] = entry
    guard entry.successor != nil else { return nil }
    close(model.name)
    return try? result.get()
  }

  /// Ends a loan.
  /// - Returns: An engine that is of no use any more.
  mutating func endLease(_ name: String) -> (any PictureEngine)? {
    guard var entry = entries[name], entry.leases > 0 else {
      preconditionFailure("\(name) was given back twice")
    }
    entry.leases -= 1
    entries[name] = entry
    guard entry.leases == 0, entry.successor != nil else { return nil }
    close(name)
    return entry.engine
  }

  /// Takes what a look at the folders has found.
  /// - Parameters:
  ///   - stamp: Of the folders before that.
  ///   - forgivingFailures: What failed, and is as it was, may be tried again.
  /// - Returns: What is new or has changed, and engines of models that are not there any more.
  mutating func take(
    _ found: [InstalledModel], stamp: ModelFolders.Stamp?, forgivingFailures: Bool
  ) -> (change: [InstalledModel], retired: [any PictureEngine]) {
    isListed = true
    self.stamp = stamp
    var change: [InstalledModel] = []
    var retired: [any PictureEngine] = []
    for model in found {
      guard var entry = entries[model.name] else {
        entries[model.name] = Entry(model)
        change.append(model)
        continue
      }
      if entry.model == model {
        // It was gone, or another, and is back: it has to go for that no more. Whoever needs its
        // room says so again.
        if entry.successor != nil { (entry.successor, entry.isRetiring) = (nil, false) }
        if forgivingFailures, case .failed = entry.state { entry.state = .closed }
        entries[model.name] = entry
      } else {
        change.append(model)
        if let engine = replace(model.name, by: .replaced(model)) { retired.append(engine) }
      }
    }
    let names = Set(found.map(\.name))
    for name in entries.keys where !names.contains(name) {
      if let engine = replace(name, by: .removed) { retired.append(engine) }
    }
    return (change, retired)
  }

  private mutating func replace(
    _ name: String, by successor: Successor
  ) -> (any PictureEngine)? {
    guard var entry = entries[name] else { return nil }
    entry.successor = successor
    entry.isRetiring = true
    entries[name] = entry
    if case .opening = entry.state { return nil }
    guard entry.leases == 0 else { return nil }
    close(name)
    return entry.engine
  }
}
