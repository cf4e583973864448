package import BananaAPI
package import Logging
import Synchronization

/// Writes down what clients do wrong: at most a line a minute for each account, however many of
/// them there are, with the number of those that were left out.
package final class ComplaintLog: Sendable {
  private struct Entry {
    var written: ContinuousClock.Instant
    var unwritten = 0
  }

  private static let interval = Duration.seconds(60)
  private static let maximumEntries = 4096
  private let logger: Logger
  private let now: @Sendable () -> ContinuousClock.Instant
  private let entries = Mutex<[Account: Entry]>([:])

  package init(
    logger: Logger, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    self.logger = logger
    self.now = now
  }

  /// - Parameter error: What the client was told.
  package func write(
    _ message: String, _ error: APIError, of account: Account,
    job: String? = nil
  ) {
    let now = now()
    let unwritten = entries.withLock { entries -> Int? in
      if var entry = entries[account], now - entry.written < Self.interval {
        entry.unwritten += 1
        entries[account] = entry
        return nil
      }
      let unwritten = entries[account]?.unwritten ?? 0
      if entries.count >= Self.maximumEntries {
        entries = entries.filter { now - $0.value.written < Self.interval }
      }
      // More accounts than that within a minute: the log is worth more than a line of theirs.
      guard entries.count < Self.maximumEntries || entries[account] != nil else { return nil }
      entries[account] = Entry(written: now)
      return unwritten
    }
    guard let unwritten else { return }
    var metadata: Logger.Metadata = [:]
    if let job { metadata["job"] = "\(job)" }
    metadata["account"] = "\(account)"
    metadata["code"] = "\(error.code.rawValue)"
    metadata["reason"] = "\(error.message.cut(512))"
    if unwritten > 0 { metadata["unwritten"] = "\(unwritten)" }
    logger.notice("\(message)", metadata: metadata)
  }
}
