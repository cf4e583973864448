import BananaAPI
import BananaTesting
import Serving
import Testing

@Suite struct FairQueueTests {
  private static let start = ContinuousClock.now

  private static func item(
    _ id: String, uid: UInt32 = 1, _ priority: JobPriority = .normal, work: Double = 1,
    after seconds: Double = 0
  ) -> FairQueue<String>.Item {
    .init(
      id: id, account: .user(uid), priority: priority, work: work,
      arrival: start + .seconds(seconds),
      element: id)
  }

  private static func queue(_ items: [FairQueue<String>.Item]) -> FairQueue<String> {
    var queue = FairQueue<String>(ageing: .seconds(30))
    for item in items { queue.append(item) }
    return queue
  }

  /// Draws a job for so many seconds.
  private static func draw(
    _ queue: inout FairQueue<String>, seconds: Double? = nil, at time: Double = 0
  ) -> FairQueue<String>.Item? {
    guard var item = queue.popNext(now: start + .seconds(time)) else { return nil }
    queue.settle(&item, seconds: seconds ?? item.work, charged: 0, isDone: true)
    return item
  }

  /// All ids in their order, when each takes what it seemed to.
  private static func drain(_ queue: FairQueue<String>, at seconds: Double = 0) -> [String] {
    var queue = queue
    var ids: [String] = []
    while let item = draw(&queue, at: seconds) { ids.append(item.id) }
    #expect(queue.count == 0)
    return ids
  }

  @Test func servesOneUserInOrder() {
    let queue = Self.queue((0..<5).map { Self.item("\($0)") })
    #expect(Self.drain(queue) == ["0", "1", "2", "3", "4"])
  }

  @Test func alternatesBetweenUsers() {
    let many = (0..<4).map { Self.item("a\($0)", uid: 1) }
    let queue = Self.queue(many + [Self.item("b0", uid: 2), Self.item("c0", uid: 3)])
    #expect(Self.drain(queue) == ["a0", "b0", "c0", "a1", "a2", "a3"])
  }

  /// What a job seems to be does not count, but what it took.
  @Test func chargesWhatWasMeasured() {
    var queue = FairQueue<String>(ageing: .seconds(1_000_000))
    for index in 0..<100 {
      queue.append(Self.item("a\(index)", uid: 1, work: 1))
      queue.append(Self.item("b\(index)", uid: 2, work: 1))
    }
    var seconds: [Account: Double] = [:]
    while queue.count > 20, let item = Self.draw(&queue, seconds: 0) {
      // The lie is only known afterwards.
      let real = item.account == .user(1) ? 8.0 : 1
      queue.charge(item, seconds: real)
      seconds[item.account, default: 0] += real
      if queue.count(of: .user(1)) == 0 || queue.count(of: .user(2)) == 0 { break }
    }
    let share = seconds[.user(1)]! / seconds[.user(2)]!
    #expect((0.85...1.15).contains(share), "\(share)")
  }

  /// What is done for an account beside the engine is taken from its part of the engine, also when
  /// it is charged before anything of it waits.
  @Test func chargesWhatIsDoneBesideTheEngine() {
    var queue = FairQueue<String>(ageing: .seconds(1_000_000))
    var drawn: [Account: Int] = [:]
    for index in 0..<400 {
      for uid in [UInt32(1), 2] where queue.count(of: .user(uid)) == 0 {
        if uid == 2 { queue.charge(.user(uid), seconds: 1) }
        queue.append(Self.item("\(index)-\(uid)", uid: uid))
      }
      drawn[Self.draw(&queue)!.account, default: 0] += 1
    }
    #expect(abs(drawn[.user(1)]! - 2 * drawn[.user(2)]!) < 8, "\(drawn)")
  }

  @Test func aPauseIsNoCredit() {
    var queue = Self.queue([Self.item("b", uid: 2, work: 1)])
    _ = Self.draw(&queue)
    for index in 0..<10 { queue.append(Self.item("a\(index)", uid: 1, work: 10)) }
    for _ in 0..<5 { _ = Self.draw(&queue) }
    for index in 0..<5 { queue.append(Self.item("b\(index)", uid: 2, work: 10)) }
    #expect(Self.drain(queue).prefix(4).filter { $0.hasPrefix("b") }.count == 2)
  }

  /// Who had the engine while nobody wanted it owes nothing for that.
  @Test func aLonelyHourIsNoDebt() {
    var queue = Self.queue([Self.item("a0", uid: 1), Self.item("a1", uid: 1)])
    var item = queue.popNext(now: Self.start)!
    queue.charge(item, seconds: 3600)
    queue.append(Self.item("b0", uid: 2))
    queue.append(Self.item("b1", uid: 2))
    queue.settle(&item, seconds: 3601, charged: 3600, isDone: true)
    // And who comes then has what it may have missed by waiting for an answer, no more.
    #expect(Self.drain(queue) == ["b0", "b1", "a1"])
  }

  /// Who goes and comes back owes what it owed, however many others came meanwhile.
  @Test func aDebtIsNotForgottenAmongMany() {
    var queue = Self.queue([
      Self.item("a", uid: 1), Self.item("b0", uid: 2), Self.item("b1", uid: 2),
    ])
    #expect(Self.draw(&queue, seconds: 8)?.id == "a")
    #expect(Self.draw(&queue, seconds: 8.5)?.id == "b0")
    for uid in 100..<400 as Range<UInt32> {
      queue.append(Self.item("\(uid)", uid: uid))
      #expect(queue.remove("\(uid)") != nil)
    }
    queue.append(Self.item("a", uid: 1))
    queue.append(Self.item("c", uid: 3))
    #expect(queue.order(now: Self.start) == ["c", "a", "b1"])
  }

  /// What an account has after a job that has aged comes not before it, whoever else waits.
  @Test func ageIsNotSkippedForUrgency() {
    for _ in 0..<20 {
      // The order of accounts is another in each run.
      let queue = Self.queue([
        Self.item("old", uid: 1, .background), Self.item("urgent", uid: 1, .interactive, after: 60),
        Self.item("other", uid: 2, after: 60),
      ])
      #expect(Self.drain(queue, at: 60) == queue.order(now: Self.start + .seconds(60)))
      #expect(Self.drain(queue, at: 60).first == "other")
    }
  }

  @Test func prefersTheUrgentAndAgesTheOthersOfOneUser() {
    let items = [
      Self.item("background", .background), Self.item("normal", .normal),
      Self.item("interactive", .interactive),
    ]
    #expect(Self.drain(Self.queue(items)) == ["interactive", "normal", "background"])
    // After twice the ageing all are equal, and the oldest of a user comes first.
    let late = Self.item("late", .interactive, after: 60)
    #expect(
      Self.drain(Self.queue(items + [late]), at: 60)
        == ["background", "normal", "interactive", "late"])
  }

  /// Between users priority is a place further forward or back, once.
  @Test func prefersTheUrgentOfEqualsOnce() {
    let queue = Self.queue(
      (0..<4).map { Self.item("a\($0)", uid: 1, .background) }
        + (0..<4).map { Self.item("b\($0)", uid: 2) }
        + (0..<4).map { Self.item("c\($0)", uid: 3, .interactive) })
    let order = Self.drain(queue)
    #expect(order.prefix(3) == ["c0", "b0", "a0"])
    #expect(order.firstIndex(of: "a1")! < order.firstIndex(of: "c2")!)
  }

  @Test(arguments: JobPriority.allCases)
  func neverStarvesAnybodyWhateverOthersSay(_ priority: JobPriority) {
    var queue = FairQueue<String>(ageing: .seconds(30))
    var seconds: [Account: Double] = [:]
    for second in 0..<1000 {
      while queue.count(of: .user(1)) < 3 {
        queue.append(Self.item("a", uid: 1, .interactive, after: Double(second)))
      }
      while queue.count(of: .user(2)) < 1 {
        queue.append(Self.item("b", uid: 2, priority, after: Double(second)))
      }
      let item = Self.draw(&queue, seconds: 1, at: Double(second))!
      seconds[item.account, default: 0] += 1
    }
    // Urgency is paid for twice.
    let fair = priority == .interactive ? 500.0 : 666
    #expect(abs(seconds[.user(2)]! - fair) < 10, "\(seconds)")
  }

  @Test func takesRidersThatFit() {
    var queue = Self.queue([
      Self.item("a0", uid: 1), Self.item("a1", uid: 1, work: 5), Self.item("b0", uid: 2),
      Self.item("b1", uid: 2, .background, work: 5), Self.item("c0", uid: 3, work: 5),
    ])
    // One user has had more than its share by more than a turn.
    queue.charge(Self.item("c", uid: 3), seconds: 5)
    let lead = queue.popNext(now: Self.start)!
    #expect(lead.id == "a0")
    let first = queue.popRider(with: lead, now: Self.start) { $0.work == 5 }
    #expect(first?.id == "a1")
    #expect(queue.popRider(with: lead, now: Self.start) { $0.work == 5 } == nil)
    #expect(Self.drain(queue) == ["b0", "b1", "c0"])
  }

  @Test func putsBackWhatIsNotDoneInItsOldPlace() {
    var queue = Self.queue([
      Self.item("a0", uid: 1), Self.item("a1", uid: 1), Self.item("b0", uid: 2),
    ])
    var item = queue.popNext(now: Self.start)!
    func left(_ uids: Set<Account>, level: Int = 1) -> Double? {
      queue.secondsLeft(to: uids, level: level, now: Self.start)
    }
    #expect(item.id == "a0" && left([.user(1)]) == 0.5 && left([.user(1), .user(2)]) == 0.5)
    // Who is ahead by a part of a turn has the rest of one.
    queue.charge(item, seconds: 0.375)
    #expect(left([.user(1)]) == 0.125)
    queue.charge(item, seconds: 9)
    #expect(left([.user(1)]) == 0)
    queue.charge(item, seconds: -9.375)
    #expect(queue.remove("b0") == "b0")
    #expect(left([.user(1)]) == nil && left([.user(1)], level: 2) == 0.5)
    queue.append(Self.item("b0", uid: 2))
    queue.settle(&item, seconds: 2, charged: 0, isDone: false)
    queue.append(item)
    #expect(queue.order(now: Self.start) == ["b0", "a0", "a1"])
    #expect(Self.drain(queue) == ["b0", "a0", "a1"])
  }

  @Test func saysTheOrderBeforehand() {
    var random = SeededGenerator(seed: 3)
    let items = (0..<60).map { index in
      Self.item(
        "\(index)", uid: UInt32.random(in: 1...5, using: &random),
        JobPriority.allCases.randomElement(using: &random)!,
        work: Double.random(in: 1...9, using: &random))
    }
    var queue = Self.queue([Self.item("first", uid: 9, work: 2)])
    // From then on it is known how long work takes.
    _ = Self.draw(&queue)
    for item in items { queue.append(item) }
    #expect(queue.order(now: Self.start) == Self.drain(queue))
  }

  @Test func removes() {
    var queue = Self.queue([
      Self.item("a0", uid: 1, work: 9), Self.item("a1", uid: 1), Self.item("b0", uid: 2, work: 5),
      Self.item("b1", uid: 2),
    ])
    #expect(queue.remove("nobody") == nil)
    #expect(queue.remove("b0") == "b0")
    #expect(queue.count == 3 && queue.count(of: .user(2)) == 1)
    #expect(queue.elements(of: .user(1)) == ["a0", "a1"])
    #expect(Self.drain(queue) == ["a0", "b1", "a1"])
  }
}
