import BananaAPI
import BananaTesting
import Serving
import Testing

/// `FairQueue` against a model of what it promises, over random histories that a seed repeats.
@Suite struct FairQueueModelTests {
  private static let epoch = ContinuousClock.now
  private static let ageing = 30.0
  private static let shortestTurn = 0.5

  /// All that was ever promised, looked up afresh each time.
  private struct Model {
    struct Job {
      let item: FairQueue<String>.Item
      let arrival: Double
      let number: Int
      var seconds = 0.0
      /// What it is expected to take, while it is taken out.
      var expected: Double?
    }

    /// Those that are not done.
    var jobs: [String: Job] = [:]
    /// Seconds charged.
    private(set) var times: [Account: Double] = [:]
    private var floor = 0.0
    private var turn = 0.0
    private var secondsPerWork = 0.0

    private var turnSeconds: Double { max(shortestTurn, turn) }
    private static func rank(_ job: Job) -> Int {
      [JobPriority.interactive: 0, .normal: 1, .background: 2][job.item.priority]!
    }
    private static func price(_ job: Job) -> Double { job.item.priority == .interactive ? 2 : 1 }

    func waiting(of account: Account? = nil) -> [Job] {
      jobs.values.filter { $0.expected == nil && account ?? $0.item.account == $0.item.account }
    }

    func level(_ job: Job, at now: Double) -> Int {
      max(Self.rank(job) - Int((now - job.arrival) / ageing), 0)
    }

    private func start(_ account: Account) -> Double {
      let out = jobs.values.filter { $0.item.account == account }.compactMap(\.expected)
      return times[account, default: 0] + out.reduce(0, +)
    }

    private mutating func advance() {
      let behind = Set(jobs.values.map(\.item.account)).map { times[$0, default: 0] }.min()
      floor = max(floor, behind ?? floor)
    }

    mutating func append(_ job: Job) {
      advance()
      let account = job.item.account
      if !jobs.values.contains(where: { $0.item.account == account }) {
        times[account] = max(times[account, default: 0], floor - 4 * turnSeconds)
      }
      jobs[job.item.id] = job
    }

    /// Those that may be next: an account's first by urgency and age, and among the accounts who is
    /// furthest behind; several where that is the same but for rounding.
    func next(at now: Double, where mayBe: (Job) -> Bool = { _ in true }) -> Set<String> {
      let firsts = Dictionary(grouping: waiting().filter(mayBe), by: \.item.account).values.map {
        $0.min { (level($0, at: now), $0.number) < (level($1, at: now), $1.number) }!
      }
      func place(_ job: Job) -> Double {
        start(job.item.account) + Double(Self.rank(job)) * turnSeconds
      }
      guard let first = firsts.map(place).min() else { return [] }
      let equals = firsts.filter { place($0) <= first + 1e-9 }
      let isTie = equals.allSatisfy { place($0) == first }
      return Set(
        isTie ? equals.min { $0.number < $1.number }.map { [$0.item.id] }! : equals.map(\.item.id))
    }

    func riders(with lead: Job, at now: Double) -> Set<String> {
      next(at: now) { job in
        if job.item.account == lead.item.account {
          return level(job, at: now) <= level(lead, at: now)
        }
        return start(job.item.account) <= times[lead.item.account, default: 0] + turnSeconds
          && Self.rank(job) <= Self.rank(lead)
      }
    }

    private func expectedSeconds(_ job: Job) -> Double {
      max(job.item.work * secondsPerWork - job.seconds, 0) * Self.price(job)
    }

    mutating func takeOut(_ id: String, isNext: Bool) {
      if isNext { advance() }
      jobs[id]!.expected = expectedSeconds(jobs[id]!)
    }

    mutating func charge(_ id: String, _ seconds: Double) {
      times[jobs[id]!.item.account, default: 0] += seconds * Self.price(jobs[id]!)
    }

    mutating func settle(_ id: String, seconds: Double, charged: Double, isDone: Bool) -> Job {
      charge(id, seconds - charged)
      var job = jobs.removeValue(forKey: id)!
      job.seconds += seconds
      job.expected = nil
      if isDone {
        let sample = job.seconds / job.item.work
        secondsPerWork = secondsPerWork == 0 ? sample : 0.8 * secondsPerWork + 0.2 * sample
      }
      return job
    }

    mutating func note(turnSeconds: Double) { turn = 0.8 * turn + 0.2 * turnSeconds }

    func secondsLeft(_ accounts: Set<Account>, level: Int, at now: Double) -> Double? {
      if accounts.isEmpty { return nil }
      let ahead = accounts.compactMap { times[$0] }.max() ?? 0
      var ends: [Double] = accounts.count > 1 ? [shortestTurn] : []
      for job in waiting() {
        if !accounts.contains(job.item.account) {
          let room = times[job.item.account, default: 0] + shortestTurn - ahead
          ends.append(min(max(room, 0), shortestTurn))
        } else if self.level(job, at: now) < level {
          ends.append(shortestTurn)
        }
      }
      return ends.min()
    }

    /// Whether this is the order in which all would be taken out, each taking what is expected.
    func isOrder(_ ids: [String], at now: Double) -> Bool {
      var model = self
      for id in ids {
        guard model.next(at: now).contains(id), let job = model.jobs.removeValue(forKey: id) else {
          return false
        }
        model.times[job.item.account, default: 0] += expectedSeconds(job)
      }
      return model.waiting().isEmpty
    }
  }

  /// The queue and the model, side by side.
  private struct Pair {
    var queue = FairQueue<String>(ageing: .seconds(ageing), shortestTurn: shortestTurn)
    var model = Model()
    var random: SeededGenerator
    var now = 0.0
    var count = 0
    let accounts: UInt32
    /// Taken out, with what they were charged.
    var out: [(item: FairQueue<String>.Item, charged: Double)] = []
    var done: [String] = []

    init(seed: UInt64, accounts: UInt32) {
      random = SeededGenerator(seed: seed)
      self.accounts = accounts
    }

    private var instant: ContinuousClock.Instant { epoch + .seconds(now) }

    mutating func step() {
      switch Int.random(in: 0..<20, using: &random) {
      case 0..<6: append()
      case 6..<9: popNext()
      case 9..<11: popRider()
      case 11..<13: charge()
      case 13..<17: settle()
      case 17: remove()
      case 18: now += Double(Int.random(in: 0...160, using: &random)) / 4
      default:
        let seconds = Double(Int.random(in: 0...16, using: &random)) / 8
        queue.note(turnSeconds: seconds)
        model.note(turnSeconds: seconds)
      }
      compare()
    }

    private mutating func append() {
      count += 1
      let item = FairQueue<String>.Item(
        id: "\(count)", account: .user(UInt32.random(in: 1...accounts, using: &random)),
        priority: JobPriority.allCases.randomElement(using: &random)!,
        work: Double(Int.random(in: 1...8, using: &random)), arrival: instant, element: "\(count)")
      queue.append(item)
      model.append(.init(item: item, arrival: now, number: count))
    }

    private mutating func popNext() {
      let expected = model.next(at: now)
      let item = queue.popNext(now: instant)
      #expect(item.map { expected.contains($0.id) } ?? expected.isEmpty)
      if let item { take(item, isNext: true) }
    }

    private mutating func popRider() {
      guard let lead = out.randomElement(using: &random)?.item else { return }
      let expected = model.riders(with: model.jobs[lead.id]!, at: now)
      let item = queue.popRider(with: lead, now: instant) { _ in true }
      #expect(item.map { expected.contains($0.id) } ?? expected.isEmpty)
      if let item { take(item, isNext: false) }
    }

    private mutating func take(_ item: FairQueue<String>.Item, isNext: Bool) {
      model.takeOut(item.id, isNext: isNext)
      out.append((item, 0))
    }

    private mutating func charge() {
      guard let index = out.indices.randomElement(using: &random) else { return }
      let seconds = Double(Int.random(in: 1...8, using: &random)) / 8
      queue.charge(out[index].item, seconds: seconds)
      model.charge(out[index].item.id, seconds)
      out[index].charged += seconds
    }

    /// Ends a turn: the job is done, goes back to the queue, or was cancelled meanwhile.
    private mutating func settle() {
      guard let index = out.indices.randomElement(using: &random) else { return }
      var (item, charged) = out.remove(at: index)
      let seconds = max(charged + Double(Int.random(in: -8...16, using: &random)) / 8, 0)
      let isDone = Bool.random(using: &random)
      queue.settle(&item, seconds: seconds, charged: charged, isDone: isDone)
      let job = model.settle(item.id, seconds: seconds, charged: charged, isDone: isDone)
      #expect(item.seconds == job.seconds)
      if !isDone, Int.random(in: 0..<4, using: &random) > 0 {
        queue.append(item)
        model.append(job)
      } else {
        done.append(item.id)
      }
    }

    private mutating func remove() {
      let id = "\(Int.random(in: 0...count, using: &random))"
      let isWaiting = model.jobs[id].map { $0.expected == nil } ?? false
      #expect(queue.remove(id) == (isWaiting ? id : nil))
      if isWaiting {
        model.jobs[id] = nil
        done.append(id)
      }
    }

    /// What can be asked, and that nothing is lost and nothing twice.
    private mutating func compare() {
      let waiting = model.waiting()
      #expect(queue.count == waiting.count)
      #expect(queue.elements.sorted() == waiting.map(\.item.id).sorted())
      #expect(Set(done).count == done.count && done.count + model.jobs.count == count)
      let account = Account.user(UInt32.random(in: 1...accounts, using: &random))
      #expect(queue.elements(of: account).count == queue.count(of: account))
      #expect(queue.count(of: account) == model.waiting(of: account).count)
      let level = Int.random(in: 0...2, using: &random)
      let turn = Set(out.prefix(3).map(\.item.account))
      let (left, expected) = (
        queue.secondsLeft(to: turn, level: level, now: instant),
        model.secondsLeft(turn, level: level, at: now)
      )
      #expect((left == nil) == (expected == nil) && abs((left ?? 0) - (expected ?? 0)) < 1e-9)
      if Int.random(in: 0..<16, using: &random) == 0, waiting.count < 30 {
        #expect(model.isOrder(queue.order(now: instant), at: now))
      }
    }
  }

  @Test func doesWhatItPromises() {
    for seed in 0..<40 as Range<UInt64> {
      var pair = Pair(seed: seed, accounts: UInt32(seed % 5) + 1)
      for _ in 0..<150 { pair.step() }
    }
  }
}
