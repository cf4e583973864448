package import BananaAPI

/// Jobs that wait, in an order that is fair between accounts by the seconds that they were measured
/// to take.
///
/// Each account has a virtual time: the seconds of the engine that it was charged. Among the
/// accounts with a job that waits the one that is furthest behind is next; one that comes back
/// after a pause starts where the others are, so that its pause is no credit. This is start-time
/// fair queueing (Goyal, Vin and Cheng 1996), charged after each turn with what was measured: there
/// is one engine, so nothing is decided before the bill is there. Estimates order jobs within a
/// turn and for those who ask how long they have to wait; no account gets more or less by a wrong
/// one.
///
/// Priority orders an account's own jobs. Between accounts it is worth the time of one turn,
/// forward or back (Duda and Cheriton 1999, "Borrowed-Virtual-Time Scheduling"), and what an
/// interactive job takes is charged double: whatever one account sends, the others get their share.
/// For each `ageing` that a job has waited, its priority among the account's own counts one better.
package struct FairQueue<Element> {
  package struct Item {
    package var id: Job.ID
    package var account: Account
    package var priority: JobPriority
    /// What it may cost to draw, in any unit that is the same for all.
    package var work: Double
    package var arrival: ContinuousClock.Instant
    package var element: Element
    /// Seconds that it was charged by now.
    package fileprivate(set) var seconds = 0.0
    fileprivate var sequence = 0
    /// What it was expected to take when it was taken out.
    fileprivate var expected = 0.0

    package init(
      id: Job.ID, account: Account, priority: JobPriority, work: Double,
      arrival: ContinuousClock.Instant, element: Element
    ) {
      self.id = id
      self.account = account
      self.priority = priority
      self.work = work
      self.arrival = arrival
      self.element = element
    }
  }

  /// What one account waits for.
  private struct Lane {
    var items: [Item] = []
    /// Seconds charged.
    var virtualTime = 0.0
    /// Jobs that are taken out and not settled, and what they are expected to be charged.
    var unsettled = 0
    var expected = 0.0

    var isActive: Bool { !items.isEmpty || unsettled > 0 }
    var start: Double { virtualTime + expected }
  }

  private struct Place {
    var account: Account
    var index: Int
    var rank: Int
    var level: Int
    var start: Double
    var sequence: Int

    /// - Parameter headStart: What priority is worth between accounts, seconds.
    static func isBefore(_ one: Place, _ other: Place, headStart: Double) -> Bool {
      if one.account == other.account {
        return (one.level, one.sequence) < (other.level, other.sequence)
      }
      let (a, b) = (
        one.start + Double(one.rank) * headStart, other.start + Double(other.rank) * headStart
      )
      return (a, one.sequence) < (b, other.sequence)
    }
  }

  /// How long a job waits until it counts as one priority better.
  package var ageing: Duration
  /// The shortest turn while others wait, seconds.
  package var shortestTurn: Double
  /// How long turns were lately while others waited, seconds.
  private var recentTurn = 0.0
  package private(set) var count = 0
  private var lanes: [Account: Lane] = [:]
  /// Where the account is that is furthest behind, of those that wait or are served.
  private var virtualTime = 0.0
  private var lastSequence = 0
  /// As jobs turned out; only for estimates.
  private var secondsPerWork = 0.0

  package init(ageing: Duration, shortestTurn: Double = 0.5) {
    self.ageing = ageing
    self.shortestTurn = shortestTurn
  }

  /// How far accounts may get ahead of each other by priority or by riding along, seconds.
  private var turnSeconds: Double { max(shortestTurn, recentTurn) }

  /// Jobs that this account waits for.
  package func count(of account: Account) -> Int { lanes[account]?.items.count ?? 0 }

  package var elements: some Sequence<Element> {
    lanes.values.lazy.flatMap { $0.items.lazy.map(\.element) }
  }

  /// Elements of one account.
  package func elements(of account: Account) -> [Element] {
    (lanes[account]?.items ?? []).map(\.element)
  }

  /// Takes in a job, or takes one back that is not done.
  package mutating func append(_ item: Item) {
    var item = item
    if item.sequence == 0 {
      lastSequence += 1
      item.sequence = lastSequence
    }
    enter(item.account)
    lanes[item.account]!.items.append(item)
    count += 1
  }

  /// Sees that an account has a lane, which starts where the others are.
  private mutating func enter(_ account: Account) {
    advance()
    // A client that sends the next job when it has the answer keeps what it is behind; more than a
    // few turns of that is a pause.
    let start = virtualTime - 4 * turnSeconds
    if lanes.count > 256 {
      lanes = lanes.filter { $0.value.isActive || $0.value.virtualTime > start }
    }
    var lane = lanes[account] ?? Lane()
    if !lane.isActive { lane.virtualTime = max(lane.virtualTime, start) }
    lanes[account] = lane
  }

  /// Takes out a job that shall not be drawn.
  package mutating func remove(_ id: Job.ID) -> Element? {
    for (account, lane) in lanes {
      guard let index = lane.items.firstIndex(where: { $0.id == id }) else { continue }
      count -= 1
      return lanes[account]?.items.remove(at: index).element
    }
    return nil
  }

  /// The level of an item: 0 is drawn first.
  package func level(_ item: Item, now: ContinuousClock.Instant) -> Int {
    max(Self.rank(of: item.priority) - Int((now - item.arrival) / ageing), 0)
  }

  private static func rank(of priority: JobPriority) -> Int {
    switch priority {
    case .interactive: 0
    case .normal: 1
    case .background: 2
    }
  }

  /// Takes out the job that is next.
  package mutating func popNext(now: ContinuousClock.Instant) -> Item? {
    advance()
    return pop(best(now: now) { _, _, _ in true })
  }

  /// Takes out a job that may be drawn in the same turn as `lead`: none that is less urgent than
  /// the one that it slows down, and none of another account that is ahead by more than a turn.
  package mutating func popRider(
    with lead: Item, now: ContinuousClock.Instant, where isEligible: (Item) -> Bool
  ) -> Item? {
    let (level, time) = (level(lead, now: now), lanes[lead.account]?.virtualTime ?? 0)
    return pop(
      best(now: now) { item, itsLevel, start in
        let mayRide =
          item.account == lead.account
          ? itsLevel <= level
          : start <= time + turnSeconds
            && Self.rank(of: item.priority) <= Self.rank(of: lead.priority)
        return mayRide && isEligible(item)
      })
  }

  /// Charges a job that is drawn for a part of its turn, or gives some of it back.
  package mutating func charge(_ item: Item, seconds: Double) {
    lanes[item.account]?.virtualTime += seconds * Self.price(of: item.priority)
  }

  /// Charges an account for what was done for it outside turns of the engine.
  package mutating func charge(_ account: Account, seconds: Double) {
    enter(account)
    lanes[account]!.virtualTime += seconds
  }

  /// Ends the turn of a job that was taken out, and charges what is not charged yet.
  /// - Parameter isDone: Otherwise the item is to be appended again.
  package mutating func settle(
    _ item: inout Item, seconds: Double, charged: Double, isDone: Bool
  ) {
    charge(item, seconds: seconds - charged)
    item.seconds += seconds
    guard var lane = lanes[item.account], lane.unsettled > 0 else {
      preconditionFailure("\(item.id) was settled twice")
    }
    lane.unsettled -= 1
    lane.expected = lane.unsettled == 0 ? 0 : lane.expected - item.expected
    lanes[item.account] = lane
    item.expected = 0
    guard isDone, item.work > 0 else { return }
    let sample = item.seconds / item.work
    secondsPerWork = secondsPerWork == 0 ? sample : 0.8 * secondsPerWork + 0.2 * sample
  }

  /// Takes note of how long a turn was while others waited for its end.
  package mutating func note(turnSeconds: Double) {
    recentTurn = 0.8 * recentTurn + 0.2 * turnSeconds
  }

  /// How long the turn that `accounts` have shall still last at most, beside what it may last in
  /// all; nil while nobody waits for its end.
  ///
  /// Somebody does when there are several accounts, whose parts in it may be unequal, or when a job
  /// of another account waits, or one that is more urgent than `level`. Who is ahead of one that
  /// waits by a turn already makes way at once.
  package func secondsLeft(
    to accounts: Set<Account>, level: Int, now: ContinuousClock.Instant
  ) -> Double? {
    // All are done: the turn ends by itself.
    if accounts.isEmpty { return nil }
    var left = accounts.count > 1 ? shortestTurn : nil
    let ahead = accounts.compactMap { lanes[$0]?.virtualTime }.max() ?? 0
    for (account, lane) in lanes where !lane.items.isEmpty {
      if !accounts.contains(account) {
        let room = min(max(lane.virtualTime + shortestTurn - ahead, 0), shortestTurn)
        left = min(left ?? room, room)
      } else if lane.items.contains(where: { self.level($0, now: now) < level }) {
        left = left ?? shortestTurn
      }
    }
    return left
  }

  /// The ids in the order in which they would be taken if none came any more.
  package func order(now: ContinuousClock.Instant) -> [Job.ID] {
    var waiting = lanes.filter { !$0.value.items.isEmpty }
    for account in waiting.keys {
      // From the last to the first, so that taking one is cheap.
      waiting[account]?.items.sort {
        (level($0, now: now), $0.sequence) > (level($1, now: now), $1.sequence)
      }
    }
    var order: [Job.ID] = []
    order.reserveCapacity(count)
    while !waiting.isEmpty {
      let places = waiting.map { account, lane in
        let item = lane.items[lane.items.count - 1]
        return Place(
          account: account, index: 0, rank: Self.rank(of: item.priority),
          level: level(item, now: now), start: lane.start, sequence: item.sequence)
      }
      guard let account = places.min(by: isBefore)?.account, var lane = waiting[account] else {
        break
      }
      let item = lane.items.removeLast()
      order.append(item.id)
      lane.virtualTime += expectedSeconds(of: item)
      waiting[account] = lane.items.isEmpty ? nil : lane
    }
    return order
  }

  /// How often an account pays what a job takes.
  private static func price(of priority: JobPriority) -> Double {
    priority == .interactive ? 2 : 1
  }

  private func expectedSeconds(of item: Item) -> Double {
    max(item.work * secondsPerWork - item.seconds, 0) * Self.price(of: item.priority)
  }

  private func isBefore(_ one: Place, _ other: Place) -> Bool {
    Place.isBefore(one, other, headStart: turnSeconds)
  }

  /// Follows the account that is furthest behind.
  private mutating func advance() {
    let behind = lanes.values.lazy.filter(\.isActive).map(\.virtualTime).min()
    if let behind { virtualTime = max(virtualTime, behind) }
  }

  private func best(
    now: ContinuousClock.Instant, where isEligible: (Item, _ level: Int, _ start: Double) -> Bool
  ) -> Place? {
    var best: Place?
    for (account, lane) in lanes {
      // An account's first stands for it. Places of all accounts together have no order: what an
      // account has behind a job that has aged may be before another's, and that before the job.
      var first: Place?
      for (index, item) in lane.items.enumerated() {
        let place = Place(
          account: account, index: index, rank: Self.rank(of: item.priority),
          level: level(item, now: now), start: lane.start, sequence: item.sequence)
        if let first, !isBefore(place, first) { continue }
        if isEligible(item, place.level, lane.start) { first = place }
      }
      if let first, best.map({ isBefore(first, $0) }) ?? true { best = first }
    }
    return best
  }

  private mutating func pop(_ place: Place?) -> Item? {
    guard let place, var lane = lanes[place.account] else { return nil }
    var item = lane.items.remove(at: place.index)
    item.expected = expectedSeconds(of: item)
    lane.unsettled += 1
    lane.expected += item.expected
    lanes[place.account] = lane
    count -= 1
    return item
  }
}
