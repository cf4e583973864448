package import BananaAPI

/// Jobs that wait, in an order that is fair between users within each priority.
///
/// Each user has a virtual time that advances with the work of the jobs that are taken for it;
/// among the users with a job of the best priority the one that is furthest behind is next, and a
/// user that comes back after a pause starts at the others' time: its pause is no credit. This is
/// start-time fair queueing (Goyal, Vin and Cheng 1996). For each `ageing` that a job has waited,
/// its priority counts one better, so that none waits for ever.
package struct FairQueue<Element> {
  package struct Item {
    package var id: Job.ID
    package var account: Account
    package var priority: JobPriority
    /// What it costs to draw, in any unit that is the same for all.
    package var work: Double
    package var arrival: ContinuousClock.Instant
    package var element: Element
    fileprivate var sequence = 0

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

  /// What one user waits for.
  private struct Lane {
    var items: [Item] = []
    var virtualTime = 0.0
  }

  private struct Place {
    var account: Account
    var index: Int
    var level: Int
    var virtualTime: Double
    var sequence: Int

    static func isBefore(_ one: Place, _ other: Place) -> Bool {
      (one.level, one.virtualTime, one.sequence) < (other.level, other.virtualTime, other.sequence)
    }
  }

  /// How long a job waits until it counts as one priority better.
  package var ageing: Duration
  package private(set) var count = 0
  private var lanes: [Account: Lane] = [:]
  /// The virtual time at which the last job was taken.
  private var virtualTime = 0.0
  private var lastSequence = 0

  package init(ageing: Duration) {
    self.ageing = ageing
  }

  package var isEmpty: Bool { count == 0 }

  /// Jobs that this user waits for.
  package func count(of account: Account) -> Int { lanes[account]?.items.count ?? 0 }

  package var elements: some Sequence<Element> {
    lanes.values.lazy.flatMap { $0.items.lazy.map(\.element) }
  }

  package mutating func append(_ item: Item) {
    if lanes.count > 256 {
      lanes = lanes.filter { !$0.value.items.isEmpty || $0.value.virtualTime > virtualTime }
    }
    var item = item
    lastSequence += 1
    item.sequence = lastSequence
    var lane = lanes[item.account] ?? Lane()
    if lane.items.isEmpty { lane.virtualTime = max(lane.virtualTime, virtualTime) }
    lane.items.append(item)
    lanes[item.account] = lane
    count += 1
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
    let rank =
      switch item.priority {
      case .interactive: 0
      case .normal: 1
      case .background: 2
      }
    return max(rank - Int((now - item.arrival) / ageing), 0)
  }

  /// Takes out the job that is next and charges its user.
  /// - Parameter isEligible: Others are passed over; sees the item and its level.
  package mutating func popNext(
    now: ContinuousClock.Instant, where isEligible: (Item, _ level: Int) -> Bool = { _, _ in true }
  ) -> Item? {
    var best: Place?
    for (account, lane) in lanes {
      for (index, item) in lane.items.enumerated() {
        let place = Place(
          account: account, index: index, level: level(item, now: now),
          virtualTime: lane.virtualTime,
          sequence: item.sequence)
        if let best, !Place.isBefore(place, best) { continue }
        if isEligible(item, place.level) { best = place }
      }
    }
    guard let best, var lane = lanes[best.account] else { return nil }
    let item = lane.items.remove(at: best.index)
    count -= 1
    virtualTime = max(virtualTime, lane.virtualTime)
    lane.virtualTime += item.work
    lanes[best.account] = lane
    return item
  }

  /// Gives a user back what was charged for work that was not done.
  package mutating func refund(_ work: Double, to account: Account) {
    lanes[account]?.virtualTime -= work
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
        Place(
          account: account, index: 0, level: level(lane.items[lane.items.count - 1], now: now),
          virtualTime: lane.virtualTime, sequence: lane.items[lane.items.count - 1].sequence)
      }
      guard let account = places.min(by: Place.isBefore)?.account, var lane = waiting[account]
      else { break }
      let item = lane.items.removeLast()
      order.append(item.id)
      lane.virtualTime += item.work
      waiting[account] = lane.items.isEmpty ? nil : lane
    }
    return order
  }
}
