import BananaAPI
import BananaServer
import BananaTesting
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

  private static func drain(_ queue: FairQueue<String>, at seconds: Double = 0) -> [String] {
    var queue = queue
    var ids: [String] = []
    while let item = queue.popNext(now: start + .seconds(seconds)) { ids.append(item.id) }
    #expect(queue.isEmpty && queue.count == 0)
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

  /// Equal users get equal work, whatever the size of their jobs.
  @Test(arguments: 0..<8 as Range<UInt64>)
  func sharesWorkWithin10Percent(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = FairQueue<String>(ageing: .seconds(1_000_000))
    var done: [Account: Double] = [:]
    func refill() {
      for uid in 1...4 as ClosedRange<UInt32> where queue.count(of: .user(uid)) < Int(uid) * 3 {
        // The higher the uid, the larger the jobs and the more of them.
        let work = Double.random(in: 1...10, using: &random) * Double(uid)
        queue.append(Self.item("x", uid: uid, work: work))
      }
    }
    for _ in 0..<4000 {
      refill()
      if let item = queue.popNext(now: Self.start) { done[item.account, default: 0] += item.work }
    }
    let shares = done.values.map { $0 / (done.values.reduce(0, +) / 4) }
    #expect(shares.count == 4 && shares.allSatisfy { abs($0 - 1) < 0.1 }, "\(shares)")
  }

  @Test func aPauseIsNoCredit() {
    var queue = Self.queue([Self.item("b", uid: 2, work: 1)])
    _ = queue.popNext(now: Self.start)
    for index in 0..<10 { queue.append(Self.item("a\(index)", uid: 1, work: 10)) }
    for _ in 0..<5 { _ = queue.popNext(now: Self.start) }
    for index in 0..<5 { queue.append(Self.item("b\(index)", uid: 2, work: 10)) }
    #expect(Self.drain(queue).prefix(4).filter { $0.hasPrefix("b") }.count == 2)
  }

  @Test func prefersTheUrgentAndAgesTheOthers() {
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

  @Test func neverStarvesTheBackground() {
    var queue = Self.queue([Self.item("patient", uid: 9, .background)])
    for second in 0..<100 {
      for user in 1...3 as ClosedRange<UInt32> {
        queue.append(Self.item("x", uid: user, .interactive, after: Double(second)))
      }
      if queue.popNext(now: Self.start + .seconds(second))?.id == "patient" {
        #expect(second <= 62)
        return
      }
    }
    Issue.record("the background job was never drawn")
  }

  @Test func takesRidersThatFit() {
    var queue = Self.queue([
      Self.item("a0", uid: 1), Self.item("a1", uid: 1, work: 5), Self.item("b0", uid: 2),
    ])
    let rider = queue.popNext(now: Self.start) { item, level in item.work == 5 && level == 1 }
    #expect(rider?.id == "a1")
    #expect(Self.drain(queue) == ["b0", "a0"])
  }

  @Test func saysTheOrderBeforehand() {
    var random = SeededGenerator(seed: 3)
    let items = (0..<60).map { index in
      Self.item(
        "\(index)", uid: UInt32.random(in: 1...5, using: &random),
        JobPriority.allCases.randomElement(using: &random)!,
        work: Double.random(in: 1...9, using: &random))
    }
    let queue = Self.queue(items)
    #expect(queue.order(now: Self.start) == Self.drain(queue))
  }

  @Test func removesAndRefunds() {
    var queue = Self.queue([
      Self.item("a0", uid: 1, work: 9), Self.item("a1", uid: 1), Self.item("b0", uid: 2, work: 5),
      Self.item("b1", uid: 2),
    ])
    #expect(queue.remove("nobody") == nil)
    #expect(queue.popNext(now: Self.start)?.id == "a0")
    queue.refund(9, to: .user(1))
    #expect(queue.remove("b0") == "b0")
    #expect(queue.count == 2 && queue.count(of: .user(2)) == 1)
    #expect(Self.drain(queue) == ["a1", "b1"])
  }
}
