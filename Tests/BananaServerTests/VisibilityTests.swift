import BananaAPI
import BananaTesting
import FoundationEssentials
import Serving
import Testing
import Weights

/// What a user is told of the others, and what nobody has who cannot be told from the others; by
/// real users over the real socket. Only root can be several users.
@Suite(.timeLimit(.minutes(5)), .enabled(if: Impersonation.isPossible)) struct VisibilityTests {
  private static let ann: UInt32 = 61_001
  private static let ben: UInt32 = 61_002
  private static let cas: UInt32 = 61_203
  private static let nobody: UInt32 = 65_534

  private static func serving(
    _ engine: FakeEngine = FakeEngine(), _ configuration: DaemonConfiguration = .init(),
    namespace: UserNamespace = .init(overflowUID: nobody, isPartial: false),
    accounts: AccountBook = .ofStrangers,
    _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await TestDaemon.serving(
      engine, configuration: configuration, accounts: accounts, namespace: namespace
    ) {
      daemon async throws in
      #expect(chmodForAll(daemon.socketPath))
      try await body(daemon)
    }
  }

  private static func status(_ daemon: TestDaemon, uid: UInt32?) async throws -> DaemonStatus {
    let body = try await daemon.get(Route.status, uid: uid).body
    return try JSONDecoder().decode(DaemonStatus.self, from: Data(body.utf8))
  }

  /// What ben sees before and after ann has drawn differs in nothing.
  @Test func anothersPicturesChangeNoFigure() async throws {
    try await Self.serving { daemon async throws in
      let before = try await Self.figures(daemon, uid: Self.ben)
      for fields in [#""n":3,"steps":9"#, #""n":1"#] {
        let answer = try await daemon.begin("p", fields, uid: Self.ann).answer()
        #expect(answer.status == 200)
      }
      #expect(try await Self.figures(daemon, uid: Self.ben) == before)
      for name in ["jobs_total", "pictures_total", "stage_seconds", "batch", "resident", "running"]
      {
        #expect(!before.metrics.contains { $0.contains("banana_\(name)") }, "\(name)")
      }
      #expect(try await Self.status(daemon, uid: Self.ann).finishedJobs == 2)
      let held = try (0..<8).map { _ in try RawConnection(daemon.socketPath, uid: Self.ann) }
      for connection in held {
        try await connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await connection.receive()
      }
      #expect(try await Self.status(daemon, uid: Self.ben).connections < 8)
      #expect(try await Self.status(daemon, uid: nil).connections > 8)
      withExtendedLifetime(held) {}
      // Whoever runs the machine sees all, by either socket.
      for path in [daemon.adminSocketPath, daemon.socketPath] {
        let all = try await RawConnection(path).exchange("GET", Route.metrics).body
        #expect(all.contains("banana_pictures_total 4\n"))
        #expect(all.contains(#"banana_jobs_total{code="ok"} 2"#))
      }
      #expect(try await Self.status(daemon, uid: nil).finishedJobs == 2)
    }
  }

  private struct Figures: Equatable {
    var metrics: [String]
    var finishedJobs: Int
    var queueDepth: Int
    var residentBytes: Int
  }

  private static func figures(_ daemon: TestDaemon, uid: UInt32) async throws -> Figures {
    let text = try await daemon.get(Route.metrics, uid: uid).body
    let status = try await status(daemon, uid: uid)
    // The whole test process is the daemon's.
    return Figures(
      metrics: text.split(separator: "\n").map(String.init).filter { !$0.contains("uptime") },
      finishedJobs: status.finishedJobs, queueDepth: status.queueDepth,
      residentBytes: (status.memory.residentBytes ?? 0) % (64 << 20))
  }

  @Test func timesAreToldInWholeSteps() async throws {
    try await Self.serving(FakeEngine(stepDuration: .milliseconds(3))) { daemon async throws in
      for (uid, isExact) in [(Self.ann, false), (0, true)] {
        let answer = try await daemon.begin("p", uid: uid).answer()
        let times = try JSONDecoder().decode(
          ImageGenerationResponse.self, from: Data(answer.body.utf8)
        ).timings
        for seconds in [
          times.queueSeconds, times.textSeconds, times.denoiseSeconds, times.decodeSeconds,
          times.encodeSeconds, times.totalSeconds,
        ] where !isExact {
          #expect(abs(seconds * 20 - (seconds * 20).rounded()) < 1e-9, "\(seconds)")
        }
        #expect(times.textSeconds == (isExact ? 0.001 : 0.05))
        #expect(times.totalSeconds > 0)
      }
    }
  }

  @Test func whoCannotBeToldApartOwnsNothing() async throws {
    let engine = FakeEngine(isHeld: true)
    let configuration = DaemonConfiguration(forwarderUID: Int(Self.ben))
    // The forwarder that ships is known by its name.
    let users = UserDatabase(
      user: { .user($0) }, userNamed: { $0 == "bananad-tcp" ? .user(Self.cas) : .nobody })
    let accounts = AccountBook(users: users, subordinateFile: "/nonexistent")
    try await Self.serving(engine, configuration, accounts: accounts) { daemon async throws in
      for uid in [Self.nobody, Self.ben, Self.cas] {
        let stored = try await daemon.begin("p", #""store":true"#, uid: uid).answer()
        #expect(stored.status == 400 && stored.body.contains(#""param":"store""#))
        #expect(stored.body.contains("cannot tell you from others"))
        let peel = try await RawConnection(daemon.socketPath, uid: uid).exchange(
          "POST", Route.peels + "?name=mine", body: TestPeel.bytes())
        #expect(peel.status == 400 && peel.body.contains("no private peels"), "\(peel.body)")
        #expect(try await Self.status(daemon, uid: uid).identity == .shared)

        let client = try await daemon.begin("p", uid: uid)
        let job = try await Self.onlyJob(daemon)
        #expect(try await daemon.jobs(uid: uid).isEmpty)
        #expect(try await daemon.get(Route.job(job), uid: uid).code == "job_not_found")
        let cancelled = try await RawConnection(daemon.socketPath, uid: uid)
          .exchange("DELETE", Route.job(job))
        #expect(cancelled.code == "job_not_found")
        #expect(try await Self.status(daemon, uid: uid).running == nil)
        engine.release()
        #expect(try await client.answer().status == 200)
        engine.hold()
      }
      #expect(try await Self.status(daemon, uid: Self.ann).identity == .own)
    }
  }

  /// The id of the one job that there is, however long it takes to come.
  private static func onlyJob(_ daemon: TestDaemon) async throws -> String {
    var ids: [String] = []
    _ = try await eventually {
      let answer = try await RawConnection(daemon.adminSocketPath).exchange("GET", Route.jobs)
      ids = try JSONDecoder().decode(JobList.self, from: Data(answer.body.utf8)).data.map(\.id)
      return ids.count == 1
    }
    return try #require(ids.first)
  }

  @Test func aDaemonInAUserNamespaceSaysSo() async throws {
    let namespace = UserNamespace(overflowUID: Self.ben, isPartial: true)
    try await Self.serving(namespace: namespace) { daemon async throws in
      #expect(try await Self.status(daemon, uid: Self.ann).identity == .partial)
      #expect(try await Self.status(daemon, uid: Self.ben).identity == .shared)
    }
  }
}
