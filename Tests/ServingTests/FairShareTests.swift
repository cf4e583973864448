import BananaAPI
import BananaTesting
import Serving
import Testing

/// A model of the scheduler with a clock of its own: turns, riders, priorities, users who come and
/// go, and work that is not what it seems. What is fair is counted in measured seconds.
@Suite struct FairShareTests {
  /// How a user behaves.
  private struct User {
    /// Seconds that a job takes for each unit of work that it seems to have.
    var lie: Double
    /// Units of work of a job.
    var work: ClosedRange<Double>
    /// Jobs that wait at any time; one is a client that sends the next when the last is done.
    var depth: Int
    var priority: JobPriority = .normal
  }

  /// The engine, a turn at a time.
  private struct Simulation {
    /// Longest turn while others wait, and the longest piece of work in it.
    static let turn = 0.5
    static let piece = 0.25

    var queue = FairQueue<String>(ageing: .seconds(30))
    var random: SeededGenerator
    var now = 0.0
    /// By users, in the seconds of the engine.
    var served: [Account: Double] = [:]
    private var left: [String: Double] = [:]
    private var count = 0

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private var instant: ContinuousClock.Instant { epoch + .seconds(now) }
    private let epoch = ContinuousClock.now

    /// Lets users send what they want to.
    /// - Parameter drawn: Whose jobs are being drawn.
    mutating func refill(_ users: [UInt32: User], drawn: [Account] = []) {
      for (uid, user) in users.sorted(by: { $0.key < $1.key }) {
        let own = drawn.count { $0 == .user(uid) }
        while queue.count(of: .user(uid)) + own < user.depth {
          count += 1
          let work = Double.random(in: user.work, using: &random)
          left["\(count)"] = work * user.lie
          queue.append(
            .init(
              id: "\(count)", account: .user(uid), priority: user.priority, work: work,
              arrival: instant, element: "\(count)"))
        }
      }
    }

    /// - Parameter batch: Jobs that may be drawn together.
    mutating func takeTurn(of users: [UInt32: User], batch: Int) {
      refill(users)
      guard let lead = queue.popNext(now: instant) else { return }
      var items = [lead]
      while items.count < batch,
        let rider = queue.popRider(with: lead, now: instant, where: { _ in true })
      { items.append(rider) }
      // All are drawn together, piece by piece, until they are done or the turn is over.
      var took = items.map { _ in 0.0 }
      var isAwaited = false
      while true {
        let active = items.indices.filter { left[items[$0].id]! > took[$0] }
        if active.isEmpty { break }
        for index in active {
          let part = min(
            Self.piece / Double(active.count), left[items[index].id]! - took[index])
          took[index] += part
          queue.charge(items[index], seconds: part)
        }
        // Whoever has an answer now may ask for more.
        let drawn = active.filter { left[items[$0].id]! > took[$0] }.map { items[$0].account }
        refill(users, drawn: drawn)
        let accounts = Set(drawn)
        isAwaited = queue.secondsLeft(to: accounts, level: 0, now: instant) != nil
        if isAwaited, took.reduce(0, +) >= Self.turn { break }
      }
      now += took.reduce(0, +)
      for (index, var item) in items.enumerated() {
        left[item.id]! -= took[index]
        let isDone = left[item.id]! <= 1e-9
        queue.settle(&item, seconds: took[index], charged: took[index], isDone: isDone)
        if isDone { left[item.id] = nil } else { queue.append(item) }
        served[item.account, default: 0] += took[index]
      }
      if isAwaited { queue.note(turnSeconds: took.reduce(0, +)) }
    }
  }

  /// Whatever jobs seem to be, however many there are and whoever rides with whom: two who both
  /// want the engine all the time never differ by more than a few turns.
  @Test(arguments: 0..<24 as Range<UInt64>)
  func equalUsersGetEqualSeconds(_ seed: UInt64) {
    var simulation = Simulation(seed: seed)
    var random = SeededGenerator(seed: seed &+ 1000)
    var users: [UInt32: User] = [:]
    for uid in 1...UInt32.random(in: 2...5, using: &random) {
      let size = Double.random(in: 0.02...8, using: &random)
      users[uid] = User(
        lie: [1, 1, 5, 8].randomElement(using: &random)!, work: size...2 * size,
        depth: Int.random(in: 2...8, using: &random))
    }
    let batch = [1, 4].randomElement(using: &random)!
    var before = simulation.served
    var start = 0.0
    for window in 0..<20 {
      while simulation.now < Double(window + 1) * 60 {
        simulation.takeTurn(of: users, batch: batch)
      }
      let parts = users.keys.map {
        simulation.served[.user($0), default: 0] - before[.user($0), default: 0]
      }
      let spread = parts.max()! - parts.min()!
      // A turn with its last piece, for the one who is ahead and the one who is behind, at both
      // ends of the window, and as much again for who rides along.
      #expect(spread <= 6 * (Simulation.turn + Simulation.piece), "\(window): \(parts)")
      #expect(abs(parts.reduce(0, +) - (simulation.now - start)) < 1e-6)
      before = simulation.served
      start = simulation.now
    }
  }

  /// 8:1 was what work that looks cheap got; a client that waits for each answer loses nothing to
  /// one with a backlog, whatever either says of its urgency.
  @Test(arguments: JobPriority.allCases, [1, 4])
  func aPatientClientKeepsItsShare(_ priority: JobPriority, batch: Int) {
    var simulation = Simulation(seed: 7)
    let users: [UInt32: User] = [
      1: User(lie: 8, work: 0.1...0.4, depth: 16, priority: priority),
      2: User(lie: 1, work: 0.1...0.4, depth: 1),
    ]
    while simulation.now < 600 {
      simulation.takeTurn(of: users, batch: batch)
    }
    let share = simulation.served[.user(2)]! / simulation.now
    // Who is urgent all the time pays double.
    let fair = priority == .interactive ? 2.0 / 3 : 0.5
    #expect(abs(share - fair) < 0.05, "\(share)")
  }

  /// A user that was alone for an hour, and one that paused for an hour, both start level.
  @Test func comingAndGoingIsNeitherCreditNorDebt() {
    var simulation = Simulation(seed: 9)
    let user = User(lie: 1, work: 0.1...3, depth: 3)
    while simulation.now < 3600 {
      simulation.takeTurn(of: [1: user], batch: 1)
    }
    for (first, second) in [(1, 2), (2, 1)] as [(UInt32, UInt32)] {
      let (start, before) = (simulation.now, simulation.served)
      while simulation.now < start + 60 {
        simulation.takeTurn(of: [1: user, 2: user], batch: 1)
      }
      let parts = [first, second].map {
        simulation.served[.user($0), default: 0] - before[.user($0), default: 0]
      }
      #expect(abs(parts[0] - parts[1]) < 6, "\(parts)")
      let pause = simulation.now
      while simulation.now < pause + 600 {
        simulation.takeTurn(of: [first: user], batch: 1)
      }
    }
  }
}
