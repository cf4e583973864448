import BananaAPI
import BananaServer
import BananaTesting
import Diffusion
import Dispatch
import FoundationEssentials
import Imaging
import Serving
import Synchronization
import Testing

/// What the daemon holds for Ann when she has gone, does not read or has much kept, and what Ben
/// sees of it. Only root can be both.
@Suite(.timeLimit(.minutes(5)), .enabled(if: Impersonation.isPossible), .serialized)
struct HeldBytesTests {
  private static let ann: UInt32 = 61_001
  private static let ben: UInt32 = 61_002

  private static func serving(
    _ configuration: DaemonConfiguration, _ engine: FakeEngine,
    _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      #expect(chmodForAll(daemon.socketPath))
      try await body(daemon)
    }
  }

  private static func expectBenServed(by daemon: TestDaemon) async throws {
    #expect(try await daemon.get(Route.health, uid: ben).status == 200)
    let drawn = try await daemon.begin("p", #""size":"256x256""#, uid: ben).answer()
    #expect(drawn.status == 200, "\(drawn.body.prefix(500))")
  }

  private static func connections(_ count: Int, of daemon: TestDaemon) async throws -> Bool {
    try await eventually {
      try await RawConnection(daemon.adminSocketPath).exchange("GET", Route.status).body
        .contains(#""connections":\#(count),"#)
    }
  }

  /// An edit of 1.2 MB whose prompt is read when the test says so.
  private static func slowForm() throws -> TestForm {
    var random = SystemRandomNumberGenerator()
    let bytes = (0..<600 * 500 * 4).map { _ in UInt8.random(in: 0...255, using: &random) }
    var form = TestForm()
    form.addFile("image", try PNG.encode(Pixels(width: 600, height: 500, bytes: bytes)))
    form.add("prompt", String(repeating: "p", count: 1000))
    return form
  }

  /// Reads long prompts only when it is let.
  private final class Reading: Sendable {
    let gate = DispatchSemaphore(value: 0)
    let begun = Mutex(0)

    func read(_ prompt: String) {
      guard prompt.utf8.count > 512 else { return }
      begun.withLock { $0 += 1 }
      gate.wait()
    }
  }

  /// A body counts as long as it is there, however early its client hangs up; and while one of
  /// hers is worked on, others are answered.
  @Test func bodiesOfClientsThatLeft() async throws {
    let reading = Reading()
    let engine = FakeEngine(reading: { reading.read($0.prompt) })
    let configuration = DaemonConfiguration(transferBytes: 4 << 20, editPixels: 496 << 10)
    try await Self.serving(configuration, engine) { daemon async throws in
      defer { reading.gate.signal() }
      let client = try await Self.slowForm().send(to: daemon, uid: Self.ann)
      #expect(await eventually { reading.begun.withLock { $0 } == 1 })
      client.hangUp()
      #expect(try await Self.connections(1, of: daemon))
      // Of 4 MiB she has half when she is alone.
      var other = TestForm()
      other.addFile("image", [UInt8](repeating: 0, count: 1_200_000))
      other.add("prompt", "p")
      for _ in 0..<3 {
        let refused = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await refused.send(
          "POST \(Route.imageEdits) HTTP/1.1\r\nHost: x\r\n"
            + "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1200000\r\n\r\n")
        let answer = try await refused.receive()
        #expect(RawConnection.parse(String(decoding: answer, as: UTF8.self)).status == 503)
      }
      try await Self.expectBenServed(by: daemon)
      reading.gate.signal()
      #expect(
        await eventually {
          (try? await other.send(to: daemon, uid: Self.ann).answer().status) == 400
        })
    }
  }

  /// Nor do pictures that nobody reads become more than her share.
  @Test func streamsThatNobodyReads() async throws {
    let engine = FakeEngine(drawsPixels: true)
    let configuration = DaemonConfiguration(transferBytes: 8 << 20, editPixels: 64 << 10)
    try await Self.serving(configuration, engine) { daemon async throws in
      var clients: [RawConnection] = []
      for _ in 0..<12 {
        clients.append(
          try await daemon.begin(
            "p", #""n":3,"stream":true,"partial_images":3,"size":"256x256""#, uid: Self.ann))
      }
      let scheduler = daemon.daemon.scheduler
      #expect(
        await eventually {
          let now = await scheduler.snapshot(for: nil)
          return now.runningJobs == 0 && now.waitingJobs.isEmpty && engine.record.finished > 0
        })
      try await Self.expectBenServed(by: daemon)
      var whole = 0
      for client in clients {
        let events = try await client.receiveAll()
        if events.ranges(of: "event: image_generation.completed").count == 3 { whole += 1 }
      }
      #expect((1..<12).contains(whole), "\(whole)")
      // What was held is given back.
      #expect(
        try await eventually {
          try await daemon.begin("p", #""n":3,"stream":true,"size":"256x256""#, uid: Self.ann)
            .answer().body.ranges(of: "event: image_generation.completed").count == 3
        })
    }
  }

  /// Failures that are kept are few, and no other user's answers go for them.
  @Test func failuresThatAreKept() async throws {
    let engine = FakeEngine(isHeld: true)
    try await Self.serving(.init(resultBytes: 100 << 10), engine) { daemon async throws in
      let first = try await daemon.begin("p", #""store":true"#, uid: Self.ben)
      #expect(await eventually { engine.record.requests.count == 1 })
      for _ in 0..<80 {
        let late = try await daemon.begin(
          "p", #""store":true,"deadline_seconds":0.001"#, uid: Self.ann)
        #expect(try await late.answer().code == "deadline_exceeded")
      }
      #expect(try await daemon.jobs(uid: Self.ann).count == 64)
      engine.release()
      #expect(try await first.answer().status == 200)
      let own = try #require(try await daemon.jobs(1, .finished, uid: Self.ben).first)
      for (uid, status) in [(Self.ben, 200), (Self.ann, 404)] {
        #expect(try await daemon.get(Route.job(own.id), uid: uid).status == status)
        #expect(try await daemon.get(Route.jobResult(own.id), uid: uid).status == status)
      }
      #expect(try await daemon.jobs(uid: Self.ben).count == 1)
    }
  }

  /// Who waits for a result and leaves is not waited with.
  @Test func resultsThatNobodyWaitsFor() async throws {
    let engine = FakeEngine(isHeld: true)
    try await Self.serving(.init(), engine) { daemon async throws in
      let client = try await daemon.begin("p", #""store":true"#, uid: Self.ann)
      let job = try #require(try await daemon.jobs(1, .running, uid: Self.ann).first)
      var waiting: [RawConnection] = []
      for _ in 0..<5 {
        let other = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await other.send(RawConnection.request("GET", Route.jobResult(job.id)))
        waiting.append(other)
      }
      let scheduler = daemon.daemon.scheduler
      #expect(await eventually { await scheduler.resultWaiterCount == 5 })
      for other in waiting.dropLast() { other.hangUp() }
      #expect(await eventually { await scheduler.resultWaiterCount == 1 })
      engine.release()
      #expect(try await waiting[4].answer().status == 200)
      #expect(try await client.answer().status == 200)
    }
  }

  /// Texts that are kept and given back are short.
  @Test func textsWithoutEnd() async throws {
    try await Self.serving(.init(), FakeEngine()) { daemon async throws in
      let long = String(repeating: "x", count: 513)
      for name in ["quality", "user", "moderation", "model", "style", "size"] {
        let answer = try await daemon.begin("p", "\"\(name)\":\"\(long)\"", uid: Self.ann).answer()
        #expect(answer.status == 413 && answer.code == "request_too_large", "\(name)")
      }
      let peel = try await daemon.begin("p", "\"peels\":[\"\(long)\"]", uid: Self.ann).answer()
      #expect(peel.status == 413)
      var form = TestForm()
      form.addFile("image", [1])
      form.add("prompt", "p")
      form.add("quality", long)
      #expect(try await form.post(to: daemon, uid: Self.ann).status == 413)
      let kept = try await daemon.begin(
        "p", "\"quality\":\"\(long.dropLast())\"", uid: Self.ann
      ).answer()
      #expect(kept.status == 200)

      // A character may be of any length: none of it comes back.
      let mark = "n" + String(repeating: "\u{301}", count: 100_000)
      let unknown = try await daemon.begin("p", "\"\(mark)\":1", uid: Self.ann).answer()
      #expect(unknown.status == 400 && unknown.body.utf8.count < 4096)
      for path in [String(repeating: "/a", count: 4000), "/v1/models/" + long + long] {
        for method in ["GET", "PUT"] {
          let answer = try await RawConnection(daemon.socketPath, uid: Self.ann)
            .exchange(method, path)
          #expect(answer.code == "not_found" && answer.body.utf8.count < 1024, "\(answer)")
        }
      }
    }
  }
}
