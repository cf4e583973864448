import Diffusion
import Synchronization

/// One turn of the engine: the jobs that are drawn in it, and what they were charged by now.
struct Turn {
  struct Member {
    var item: FairQueue<QueuedJob>.Item
    /// Seconds charged in this turn, before it is known what the job took.
    var charged = 0.0
  }

  let began: ContinuousClock.Instant
  /// The urgency of the job that it is for.
  let level: Int
  private(set) var members: [Member] = []
  private var accrued: ContinuousClock.Instant
  /// What was charged when the first began to wait for the turn's end; nil while nobody does.
  private(set) var chargedAlone: Double?

  init(began: ContinuousClock.Instant, level: Int) {
    self.began = began
    self.level = level
    accrued = began
  }

  var charged: Double { members.reduce(0) { $0 + $1.charged } }

  mutating func add(_ item: FairQueue<QueuedJob>.Item) {
    members.append(Member(item: item))
  }

  /// Charges the members for the time since this was done last, so that whoever comes now starts
  /// where they are, and nobody pays for having had the engine while no one else wanted it.
  mutating func accrue(at now: ContinuousClock.Instant, in queue: inout FairQueue<QueuedJob>) {
    let pictures = members.reduce(0) { $0 + $1.item.element.request.count }
    let seconds = (now - accrued).seconds
    accrued = now
    for index in members.indices {
      let part = seconds * Double(members[index].item.element.request.count) / Double(pictures)
      members[index].charged += part
      queue.charge(members[index].item, seconds: part)
    }
  }

  mutating func noteRival() {
    if chargedAlone == nil { chargedAlone = charged }
  }
}

/// Tells the engine when a turn is over; asked from its thread.
final class TurnClock: Sendable {
  private struct State {
    /// Nil while nobody waits.
    var end: ContinuousClock.Instant?
    var hasEnded = false
    /// How many want the thread for a moment.
    var interruptions = 0
  }

  private let state = Mutex(State())

  /// Begins another turn.
  func start() { state.withLock { ($0.end, $0.hasEnded) = (nil, false) } }

  /// Ends turns after the piece of work that is under way, as long as somebody wants that.
  func interrupt(_ isWanted: Bool) {
    state.withLock { $0.interruptions += isWanted ? 1 : -1 }
  }

  /// - Parameter end: When to make way; nil is never.
  func set(end: ContinuousClock.Instant?) { state.withLock { $0.end = end } }

  /// Whether the engine was told that the turn is over.
  var hasEnded: Bool { state.withLock { $0.hasEnded } }

  /// Whether the turn is over.
  func isOver() -> Bool {
    state.withLock { state in
      guard state.interruptions > 0 || state.end.map({ $0 <= .now }) ?? false else {
        return false
      }
      state.hasEnded = true
      return true
    }
  }
}
