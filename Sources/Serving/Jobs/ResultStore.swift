import BananaAPI

/// The answers of stored jobs, kept for a while within a bound of bytes.
struct ResultStore {
  struct Entry {
    var account: Account
    var info: JobInfo
    var outcome: Result<ImageGenerationResponse, JobError>
    var ends: ContinuousClock.Instant

    /// Roughly what it holds.
    var bytes: Int {
      guard case .success(let response) = outcome else { return 1024 }
      return response.data.reduce(1024) { $0 + $1.png.count }
    }
  }

  /// From the oldest to the newest.
  private(set) var entries: [Entry] = []

  func entry(_ id: Job.ID) -> Entry? { entries.first { $0.info.id == id } }

  /// Keeps an answer; when there is no room, the oldest of the account that holds most go first.
  mutating func keep(_ entry: Entry, maximumBytes: Int) {
    entries.append(entry)
    while entries.reduce(0, { $0 + $1.bytes }) > maximumBytes {
      var bytes: [Account: Int] = [:]
      for entry in entries { bytes[entry.account, default: 0] += entry.bytes }
      guard let account = bytes.max(by: { $0.value < $1.value })?.key,
        let index = entries.firstIndex(where: { $0.account == account })
      else { return }
      entries.remove(at: index)
    }
  }

  mutating func remove(_ id: Job.ID) {
    entries.removeAll { $0.info.id == id }
  }

  mutating func removeOld(now: ContinuousClock.Instant) {
    entries.removeAll { $0.ends <= now }
  }
}
