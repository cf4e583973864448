import BananaAPI

/// The answers of stored jobs, kept for a while within a bound of bytes, and of jobs an account.
struct ResultStore {
  struct Entry {
    var account: Account
    var info: JobInfo
    var outcome: Result<ImageGenerationResponse, JobError>
    var ends: ContinuousClock.Instant
    /// Roughly what it holds.
    let bytes: Int

    init(
      account: Account, info: JobInfo, outcome: Result<ImageGenerationResponse, JobError>,
      ends: ContinuousClock.Instant
    ) {
      self.account = account
      self.info = info
      self.outcome = outcome
      self.ends = ends
      bytes = 1024 + ((try? outcome.get())?.byteCount ?? 0)
    }

    var isFailure: Bool {
      if case .failure = outcome { true } else { false }
    }
  }

  private struct Shelf {
    /// From the oldest to the newest.
    var ids: [Job.ID] = []
    var bytes = 0
    var failures = 0
  }

  /// Of one account, so that looking for its jobs is a moment's work.
  static let maximumJobs = 256
  /// Those of them that have no pictures.
  static let maximumFailures = 64

  private var entries: [Job.ID: Entry] = [:]
  private var shelves: [Account: Shelf] = [:]
  private(set) var bytes = 0

  var count: Int { entries.count }

  func entry(_ id: Job.ID, now: ContinuousClock.Instant) -> Entry? {
    entries[id].flatMap { $0.ends > now ? $0 : nil }
  }

  /// What is kept of an account, or of all, from the oldest of each to its newest.
  func entries(of account: Account?, now: ContinuousClock.Instant) -> [Entry] {
    let ids = account.map { shelves[$0]?.ids ?? [] } ?? shelves.values.flatMap(\.ids)
    return ids.compactMap { entry($0, now: now) }
  }

  /// When the first of them is to be forgotten.
  var firstEnd: ContinuousClock.Instant? { entries.values.lazy.map(\.ends).min() }

  /// Keeps an answer. The oldest of its account go where that has too many; when there is no room,
  /// the oldest of the account that holds most go first.
  mutating func keep(_ entry: Entry, maximumBytes: Int) {
    let (id, account) = (entry.info.id, entry.account)
    remove(id)
    entries[id] = entry
    bytes += entry.bytes
    shelves[account, default: Shelf()].ids.append(id)
    shelves[account]!.bytes += entry.bytes
    if entry.isFailure { shelves[account]!.failures += 1 }
    while let shelf = shelves[account], shelf.failures > Self.maximumFailures {
      remove(shelf.ids.first { entries[$0]!.isFailure }!)
    }
    while let shelf = shelves[account], shelf.ids.count > Self.maximumJobs { remove(shelf.ids[0]) }
    while bytes > maximumBytes, let shelf = shelves.values.max(by: { $0.bytes < $1.bytes }) {
      remove(shelf.ids[0])
    }
  }

  mutating func remove(_ id: Job.ID) {
    guard let entry = entries.removeValue(forKey: id), var shelf = shelves[entry.account] else {
      return
    }
    bytes -= entry.bytes
    shelf.ids.removeAll { $0 == id }
    shelf.bytes -= entry.bytes
    if entry.isFailure { shelf.failures -= 1 }
    shelves[entry.account] = shelf.ids.isEmpty ? nil : shelf
  }

  mutating func removeOld(now: ContinuousClock.Instant) {
    for (id, entry) in entries where entry.ends <= now { remove(id) }
  }
}

extension ImageGenerationResponse {
  /// Bytes of the pictures and of all that is said beside them.
  fileprivate var byteCount: Int {
    let texts = [background, outputFormat, size, quality, model, job ?? ""] + warnings
    return data.reduce(0) { $0 + $1.png.count } + texts.reduce(0) { $0 + $1.utf8.count }
      + (peels ?? []).reduce(0) { $0 + $1.name.utf8.count }
  }
}
