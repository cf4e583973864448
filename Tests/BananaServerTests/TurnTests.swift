import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Imaging
import Models
import Serving
import Testing

/// Users who take turns at the engine, over the socket. Only root can be several users.
@Suite(.timeLimit(.minutes(5)), .enabled(if: Impersonation.isPossible)) struct TurnTests {
  private static let ann: UInt32 = 61_001
  private static let ben: UInt32 = 61_002

  private static func serving(
    _ engine: FakeEngine, turn: Duration = .milliseconds(20), waitingImageBytes: Int = 256 << 20,
    _ body: (TestDaemon) async throws -> Void
  ) async throws {
    var configuration = DaemonConfiguration(waitingJobs: 64, quotas: .off)
    configuration.turn = turn
    configuration.waitingImageBytes = waitingImageBytes
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      #expect(chmodForAll(daemon.socketPath))
      try await body(daemon)
    }
  }

  /// The pictures of an answer.
  private static func pictures(_ client: RawConnection) async throws -> [GeneratedImage] {
    let answer = try await client.answer()
    #expect(answer.status == 200, "\(answer.body.prefix(300))")
    return try JSONDecoder().decode(
      ImageGenerationResponse.self, from: Data(answer.body.utf8)
    ).data
  }

  private static let long = #""n":10,"steps":50,"seed":7"#

  @Test func aLongJobMakesWayAndGoesOn() async throws {
    let engine = FakeEngine(stepDuration: .milliseconds(4))
    try await Self.serving(engine) { daemon async throws in
      let client = try await daemon.begin(
        "long", Self.long + #","stream":true"#, uid: Self.ann)
      let job = try #require(try await daemon.jobs(1, .running, uid: Self.ann).first)
      for index in 0..<3 {
        let pictures = try await Self.pictures(
          try await daemon.begin("short", #""seed":\#(index)"#, uid: Self.ben))
        #expect(pictures.map(\.seed) == [UInt64(index)])
        // Long before the other is done, which is where it was.
        let info = try #require(try await daemon.jobs(uid: Self.ann).first { $0.id == job.id })
        #expect(info.state == .running || info.state == .waiting && info.progress != nil)
      }
      let answer = try await client.answer()
      for picture in 7..<17 as Range<UInt64> {
        #expect(answer.body.contains(#""seed":\#(picture)"#))
      }
      #expect(answer.body.ranges(of: "event: image_generation.completed\n").count == 10)
      #expect(engine.record.requests.map(\.prompt) == ["long", "short", "short", "short"])
      #expect(engine.record.finished == 4)
      // Each step was done once.
      #expect(engine.record.steps == 10 * 50 + 3 * 4)
      // Who interrupted it did not make its progress go back.
      let steps = answer.body.split(separator: "\n").compactMap { line -> Double? in
        guard line.hasPrefix("data: "),
          let progress = try? JSONDecoder().decode(
            GenerationProgress.self, from: Data(line.dropFirst(6).utf8)), progress.stage == .denoise
        else { return nil }
        return Double(progress.picture * 50 + progress.step)
      }
      #expect(steps.count == 500 && steps == steps.sorted())
    }
  }

  @Test func aJobBetweenTwoTurnsCanBeCancelledAndOverdue() async throws {
    let engine = FakeEngine(stepDuration: .milliseconds(10))
    try await Self.serving(engine) { daemon async throws in
      let overdue = try await daemon.begin(
        "overdue", Self.long + #","deadline_seconds":1.5"#, uid: Self.ann)
      let cancelled = try await daemon.begin("cancelled", Self.long, uid: Self.ben)
      let job = try #require(
        try await eventually { try await daemon.jobs(uid: Self.ben).first?.progress != nil }
          ? try await daemon.jobs(uid: Self.ben).first : nil)
      // Both have begun, and one of them waits.
      let ended = try await RawConnection(daemon.socketPath, uid: Self.ben)
        .exchange("DELETE", Route.job(job.id))
      #expect(ended.status == 200)
      #expect(try await cancelled.answer().code == "cancelled")
      #expect(try await overdue.answer().code == "deadline_exceeded")
      #expect(try await Self.pictures(try await daemon.begin("next", uid: Self.ben)).count == 1)
      #expect(try await daemon.jobs(uid: Self.ann).isEmpty)
    }
  }

  @Test func whatWasBegunIsFinishedWhenTheDaemonStops() async throws {
    let engine = FakeEngine(stepDuration: .milliseconds(2))
    try await Self.serving(engine) { daemon async throws in
      let fields = #""n":3,"steps":50"#
      let clients = [
        try await daemon.begin("a", fields, uid: Self.ann),
        try await daemon.begin("b", fields, uid: Self.ben),
      ]
      #expect(await eventually { engine.record.requests.count == 2 })
      await daemon.beginStopping()
      for client in clients { #expect(try await Self.pictures(client).count == 3) }
    }
  }

  /// How many pictures two users have got when the one with fewer jobs has got all.
  private static func race(
    _ engine: FakeEngine, ann: String, ben: String, jobs: (ann: Int, ben: Int)
  ) async throws -> Int {
    var drawn = 0
    try await serving(engine, turn: .milliseconds(500)) { daemon async throws in
      var clients = [try await daemon.begin("first")]
      #expect(await eventually { engine.record.requests.count == 1 })
      for _ in 0..<jobs.ann { clients.append(try await daemon.begin("ann", ann, uid: Self.ann)) }
      for _ in 0..<jobs.ben { clients.append(try await daemon.begin("ben", ben, uid: Self.ben)) }
      #expect(
        try await eventually {
          try await daemon.get(Route.status).body
            .contains(#""queue_depth":\#(jobs.ann + jobs.ben)"#)
        })
      engine.release()
      for client in clients { #expect(try await client.answer().status == 200) }
      let order = engine.record.requests.dropFirst().map(\.prompt)
      drawn = order.prefix(through: order.lastIndex(of: "ben")!).count { $0 == "ann" }
    }
    return drawn
  }

  @Test func urgencyStarvesNobody() async throws {
    let drawn = try await Self.race(
      FakeEngine(isHeld: true), ann: #""priority":"interactive""#, ben: #""priority":"background""#,
      jobs: (40, 16))
    // Each of them costs twice.
    #expect((6...11).contains(drawn), "\(drawn)")
  }

  /// Pictures that seem to be a quarter of the work, and are eight times as much.
  @Test func whatLooksCheapIsPaidInSeconds() async throws {
    let engine = FakeEngine(isHeld: true) { request in
      request.size.width == 256 ? .init(step: 1, end: 28) : .init(step: 1)
    }
    let drawn = try await Self.race(
      engine, ann: #""size":"256x256""#, ben: #""size":"512x512""#, jobs: (30, 24))
    #expect((2...6).contains(drawn), "\(drawn)")
  }

  @Test func imagesThatWaitHaveAShareEach() async throws {
    let engine = FakeEngine(isHeld: true)
    // An image takes 4 MiB as the model needs it, of whatever size it is sent.
    try await Self.serving(engine, waitingImageBytes: 48 << 20) { daemon async throws in
      var form = TestForm()
      form.addFile(
        "image", try PNG.encode(Pixels(width: 1500, height: 700, filledWith: .white)))
      form.add("prompt", "p")
      let first = try await daemon.begin("first")
      #expect(await eventually { engine.record.requests.count == 1 })
      let body = form
      func send(_ uid: UInt32) -> Task<RawConnection.Answer, any Error> {
        Task { try await body.post(to: daemon, uid: uid) }
      }
      var waiting: [Task<RawConnection.Answer, any Error>] = []
      for index in 1...3 {
        waiting.append(send(Self.ann))
        _ = try await daemon.jobs(index, .waiting, uid: Self.ann)
      }
      let refused = try await send(Self.ann).value
      #expect(refused.status == 429 && refused.body.contains("images would take more than"))
      waiting.append(send(Self.ben))
      #expect(try await daemon.jobs(1, .waiting, uid: Self.ben).count == 1)
      engine.release()
      for task in waiting { #expect(try await task.value.status == 200) }
      #expect(try await first.answer().status == 200)
    }
  }
}
