import BananaAPI
import BananaTesting
import Logging
import Serving
import Synchronization
import Testing

/// What is taken before anything is done.
@Suite struct AdmissionTests {
  private let start = ContinuousClock.now

  @Test func leavesAShareForWhoeverComesNext() throws {
    var shares = Shares(capacity: 120)
    func all(_ account: Account) -> Int {
      var count = 0
      while (try? shares.take(1, for: account)) != nil { count += 1 }
      return count
    }
    #expect(all(.user(1)) == 60 && all(.user(2)) == 30 && all(.user(3)) == 15)
    // Everybody who comes later gets some.
    #expect(all(.user(4)) > 0 && all(.user(5)) > 0)
    #expect(throws: Shares.Refusal.share) { try shares.take(1, for: .user(1)) }
    // Whoever runs the machine takes what is left.
    let left = shares.capacity - shares.total
    try shares.take(left, for: .user(0), isExempt: true)
    #expect(throws: Shares.Refusal.share) { try shares.take(1, for: .user(0), isExempt: true) }
    shares.give(left, of: .user(0))
    shares.give(60, of: .user(1))
    #expect(all(.user(6)) > 20)
  }

  @Test func holdsAnAccountToItsLimit() throws {
    var shares = Shares(capacity: 1000, limit: 3)
    try shares.take(3, for: .user(1))
    #expect(throws: Shares.Refusal.limit(3)) { try shares.take(1, for: .user(1)) }
    #expect(throws: Shares.Refusal.limit(3)) { try shares.take(.max, for: .user(1)) }
    try shares.take(0, for: .user(1))
    try shares.take(500, for: .user(0), isExempt: true)
    #expect(throws: Shares.Refusal.share) { try shares.take(.max, for: .user(0), isExempt: true) }
    shares.give(3, of: .user(1))
    shares.give(500, of: .user(0))
    #expect(shares.total == 0)
  }

  @Test func countsRequestsByTheMinute() throws {
    var rates = RequestRates()
    func take(_ user: UInt32, after seconds: Int = 0) throws(RequestRates.TooMany) {
      try rates.take(.work, for: .user(user), perMinute: 6, now: start + .seconds(seconds))
    }
    for _ in 0..<6 { try take(1) }
    #expect(throws: RequestRates.TooMany(perMinute: 6, seconds: 10)) { try take(1) }
    // Another user has a rate of its own, and this one's comes back.
    try take(2)
    try take(1, after: 10)
    #expect(throws: RequestRates.TooMany.self) { try take(1, after: 11) }
    // Looking is counted apart, and there is more of it.
    for _ in 0..<6000 {
      try rates.take(.look, for: .user(1), perMinute: 6, now: start)
    }
    #expect(throws: RequestRates.TooMany.self) {
      try rates.take(.look, for: .user(1), perMinute: 6, now: start)
    }
    for _ in 0..<20 { try rates.take(.work, for: .user(1), perMinute: 0, now: start) }
  }

  /// Whoever goes on although it was refused often is told later, and alone.
  @Test func tellsThemLateWhoDoNotListen() throws {
    var rates = RequestRates()
    func lateness(_ user: UInt32, _ kind: RequestRates.Kind = .work, after seconds: Double = 0)
      -> Duration?
    {
      do throws(RequestRates.TooMany) {
        try rates.take(kind, for: .user(user), perMinute: 1, now: start + .seconds(seconds))
        return nil
      } catch { return error.lateness }
    }
    #expect(lateness(1) == nil && lateness(2) == nil)
    for _ in 0..<RequestRates.promptRefusals { #expect(lateness(1) == .zero) }
    for _ in 0..<100 { #expect(lateness(1) == RequestRates.lateness) }
    #expect(lateness(2) == .zero)
    // Looking, of which there is a rate of its own, is not refused at all.
    #expect(lateness(1, .look) == nil)
    // In a second all of it is forgotten.
    for _ in 0..<RequestRates.promptRefusals { #expect(lateness(1, after: 1) == .zero) }
    #expect(lateness(1, after: 1) == RequestRates.lateness)
    #expect(lateness(1, after: 70) == nil)
  }

  @Test func remembersNoMoreAccountsThanItMust() throws {
    var rates = RequestRates()
    for user in 0..<20_000 as Range<UInt32> {
      try rates.take(.look, for: .user(user), perMinute: 60, now: start + .seconds(Int(user)))
    }
    #expect(rates.count <= 8192)
  }

  @Test func worksInTurn() async throws {
    let turns = FairTurns<Account>(width: 2)
    struct Seen: Sendable {
      var running: [UInt32: Int] = [:]
      var mostOfOne = 0
      var mostOfAll = 0
      var order: [UInt32] = []
      var arrived = 0
    }
    let seen = Box(Seen())
    await withTaskGroup { group in
      for user in [1, 1, 1, 1, 1, 1, 1, 1, 2, 3] as [UInt32] {
        group.addTask {
          seen.value.withLock { $0.arrived += 1 }
          await turns.run(for: .user(user)) {
            seen.value.withLock {
              $0.running[user, default: 0] += 1
              $0.mostOfOne = max($0.mostOfOne, $0.running[user]!)
              $0.mostOfAll = max($0.mostOfAll, $0.running.values.reduce(0, +))
              $0.order.append(user)
            }
            // Nobody is done before all have come.
            _ = await eventually { seen.value.withLock { $0.arrived == 10 } }
            try? await Task.sleep(for: .milliseconds(100))
            seen.value.withLock { $0.running[user]! -= 1 }
          }
        }
        // In this order.
        try? await Task.sleep(for: .milliseconds(5))
      }
    }
    let result = seen.value.withLock { $0 }
    #expect(result.mostOfOne == 1 && result.mostOfAll == 2 && result.order.count == 10)
    // Those who came last do not wait for all of the first one's.
    #expect(result.order.prefix(4).contains(2) && result.order.prefix(5).contains(3))
  }

  /// Whoever need not wait any more leaves no place behind.
  @Test func doesNotWaitForWhoHasLeft() async throws {
    let turns = FairTurns<Account>(width: 1)
    let (gate, opener) = AsyncStream<Void>.makeStream()
    let (ann, ben) = (Account.user(1), Account.user(2))
    let first = Task { await turns.run(for: ann) { for await _ in gate {} } }
    #expect(await eventually { await turns.running(of: ann) })
    let left = (0..<100).map { _ in
      Task {
        try await turns.run(for: ann, cancelled: CancellationError()) {
          () throws(CancellationError) in Issue.record("it was cancelled")
        }
      }
    }
    let last = Task { await turns.run(for: ben) { true } }
    #expect(await eventually { await turns.waiting(of: ann) == 100 })
    for task in left { task.cancel() }
    for task in left { await #expect(throws: CancellationError.self) { try await task.value } }
    #expect(await turns.waiting(of: ann) == 0)
    opener.finish()
    await first.value
    #expect(await last.value)
    #expect(await turns.run(for: ann) { true })
  }

  @Test func writesALineAMinuteForEach() {
    let log = RecordedLog()
    let error = APIError(.invalidRequest, "Wrong.")
    let seconds = Box(0)
    let complaints = ComplaintLog(logger: Logger(label: "test") { _ in log.handler }) { [start] in
      start + .seconds(seconds.value.withLock { $0 })
    }
    for _ in 0..<100 { complaints.write("bad", error, of: .user(1)) }
    complaints.write("bad", error, of: .user(2))
    #expect(log.lines.count == 2)
    seconds.value.withLock { $0 = 61 }
    complaints.write("worse", error, of: .user(1))
    #expect(log.lines.count == 3 && log.lines[2].metadata["unwritten"] == "99")
    // Made-up accounts make no more lines than others.
    for user in 3..<10_000 as Range<UInt32> {
      complaints.write("bad", error, of: .user(user))
    }
    #expect(log.lines.count < 5000)
  }
}

/// A value that tasks share.
final class Box<Value>: Sendable {
  let value: Mutex<Value>
  init(_ value: sending Value) { self.value = Mutex(value) }
}
