import Dispatch
package import Logging
import Synchronization

/// Tells which account a uid counts into.
///
/// A uid that `/etc/subuid` gives to a user counts as that user; one that the user database does
/// not know counts, with all others of the kind, as `Account.unknown`; every other is itself, and
/// root always is. What was found is remembered: the user database, which may be slow, is asked on
/// a thread of its own, and never again for a user that was seen lately.
package final class AccountBook: Sendable {
  /// Whose share a uid counts into, and whether it is the forwarder's.
  package struct Answer: Sendable, Equatable {
    package var account: Account
    package var isForwarder = false
  }

  private struct Entry {
    var answer: Answer
    /// When the user database is asked again; the old answer serves until there is a new one.
    var ends: ContinuousClock.Instant
    var isRefreshing = false
  }

  private struct State {
    var entries: [UInt32: Entry] = [:]
    /// The file that the entries follow from.
    var file: FileIdentity?
    var ids = SubordinateIDs()
  }

  /// More of the file is not read.
  private static let maximumFileBytes = 4 << 20
  private static let maximumEntries = 4096

  private let users: UserDatabase
  private let subordinateFile: String
  private let lifetime: Duration
  private let failureLifetime: Duration
  private let logger: Logger?
  private let queue = DispatchQueue(label: "banana.accounts", qos: .userInitiated)
  private let state = Mutex(State())

  /// - Parameters:
  ///   - subordinateFile: Read again whenever it has changed; missing is empty.
  ///   - lifetime: How long an answer of the user database is believed.
  ///   - failureLifetime: How long it is left alone when it could not be asked.
  ///   - logger: Told of lines that cannot be understood.
  package init(
    users: UserDatabase = .system, subordinateFile: String = "/etc/subuid",
    lifetime: Duration = .seconds(60), failureLifetime: Duration = .seconds(5),
    logger: Logger? = nil
  ) {
    self.users = users
    self.subordinateFile = subordinateFile
    self.lifetime = lifetime
    self.failureLifetime = failureLifetime
    self.logger = logger
  }

  /// As whom `bananad-tcp.service` hands on the connections of everybody on the machine.
  package static let forwarder = "bananad-tcp"
  /// What systemd gives to services with a dynamic user.
  private static let serviceUIDs: ClosedRange<UInt32> = 61_184...65_519

  /// The account of a uid.
  package func account(of uid: UInt32) async -> Account { await answer(for: uid).account }

  /// What is known of a uid. Waits for the user database only when the uid was not seen before.
  package func answer(for uid: UInt32) async -> Answer {
    if let known = answerIfKnown(for: uid) { return known }
    return await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: self.known(uid) ?? self.find(uid)) }
    }
  }

  /// What is remembered of a uid; never waits.
  package func answerIfKnown(for uid: UInt32) -> Answer? {
    uid == 0 ? Answer(account: .user(0)) : known(uid)
  }

  /// What is remembered, if the file is still the one that it follows from.
  private func known(_ uid: UInt32) -> Answer? {
    let file = FileIdentity(of: subordinateFile)
    let (answer, isStale) = state.withLock { state -> (Answer?, Bool) in
      guard state.file == file, let entry = state.entries[uid] else { return (nil, false) }
      let isStale = entry.ends <= .now && !entry.isRefreshing
      if isStale { state.entries[uid]?.isRefreshing = true }
      return (entry.answer, isStale)
    }
    if isStale { queue.async { _ = self.find(uid) } }
    return answer
  }

  /// Asks; on the book's own thread.
  private func find(_ uid: UInt32) -> Answer {
    let ids = readFile()
    let (account, isCertain) = resolve(uid, ids)
    let isForwarder =
      Self.serviceUIDs.contains(uid) && users.userNamed(Self.forwarder) == .user(uid)
    let new = Answer(account: account, isForwarder: isForwarder)
    return state.withLock { state in
      // An answer that was had before is better than none.
      let answer = isCertain ? new : state.entries[uid]?.answer ?? new
      if state.entries.count >= Self.maximumEntries { state.entries.removeAll() }
      state.entries[uid] = Entry(
        answer: answer, ends: .now + (isCertain ? lifetime : failureLifetime))
      return answer
    }
  }

  private func readFile() -> SubordinateIDs {
    // Before the reading: what changes meanwhile is read again by the next that asks.
    let file = FileIdentity(of: subordinateFile)
    if let ids = state.withLock({ $0.file == file ? $0.ids : nil }) { return ids }
    let ids =
      file.map { _ in
        SubordinateIDs(
          parsing: KernelFile.bytes(subordinateFile, upTo: Self.maximumFileBytes) ?? [])
      } ?? SubordinateIDs()
    state.withLock { $0 = State(file: file, ids: ids) }
    if !ids.damagedLines.isEmpty {
      let lines = ids.damagedLines.prefix(16).map(String.init).joined(separator: ", ")
      logger?.warning(
        "lines that cannot be understood: whoever they are for has another account by each uid",
        metadata: ["file": "\(subordinateFile)", "lines": "\(lines)"])
    }
    return ids
  }

  /// Follows a uid to whom it was given, and that one to whom it was given itself.
  private func resolve(
    _ uid: UInt32, _ ids: SubordinateIDs
  ) -> (account: Account, isCertain: Bool) {
    var path = [uid]
    while let owner = ids.owner(of: path[path.count - 1]) {
      let next: UInt32
      switch owner {
      case .uid(let uid): next = uid
      case .name(let name):
        switch users.userNamed(name) {
        case .user(let uid): next = uid
        case .nobody: return (.unknown, true)
        case .failed: return (.unknown, false)
        }
      }
      // Whom two lines give to each other: either could be the other, and both are one.
      if let loop = path.firstIndex(of: next) {
        path.append(path[loop...].min() ?? next)
        break
      }
      path.append(next)
      if next == 0 { break }
    }
    let last = path[path.count - 1]
    if last == 0 { return (.user(0), true) }
    switch users.user(last) {
    case .user: return (.user(last), true)
    case .nobody: return (.unknown, true)
    case .failed: return (.unknown, false)
    }
  }
}
