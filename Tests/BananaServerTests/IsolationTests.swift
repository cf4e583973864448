import BananaAPI
import BananaServer
import BananaTesting
import Diffusion
import Dispatch
import FoundationEssentials
import Models
import Serving
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Several users at one daemon, told apart by the kernel. Only root can be several users.
@Suite(.timeLimit(.minutes(5)), .enabled(if: Impersonation.isPossible)) struct IsolationTests {
  private static let ann: UInt32 = 61_001
  private static let ben: UInt32 = 61_002
  private static let cid: UInt32 = 61_003

  /// A daemon that all users may connect to.
  private static func serving(
    _ engine: FakeEngine, _ configuration: DaemonConfiguration = .init(),
    accounts: AccountBook = .ofStrangers, _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await TestDaemon.serving(engine, configuration: configuration, accounts: accounts) {
      daemon async throws in
      #expect(chmod(daemon.socketPath, 0o666) == 0)
      try await body(daemon)
    }
  }

  @Test func keepsOthersOffTheAdminSocket() async throws {
    try await TestDaemon.serving { daemon async throws in
      let path = daemon.adminSocketPath
      let error = #expect(throws: RawConnection.Failed.self) {
        try RawConnection(path, uid: Self.ann)
      }
      #expect(error?.errno == EACCES)
    }
  }

  @Test func hidesJobsAndResultsOfOthers() async throws {
    let engine = FakeEngine(isHeld: true)
    try await Self.serving(engine) { daemon async throws in
      let client = try await daemon.begin("secret", #""store":true"#, uid: Self.ann)
      let job = try #require(try await daemon.jobs(1, .running, uid: Self.ann).first)
      let waiting = try await daemon.begin("other", uid: Self.ann)
      #expect(job.uid == Self.ann)
      let next = try #require(try await daemon.jobs(1, .waiting, uid: Self.ann).first)
      for uid in [Self.ben, 0] {
        #expect(try await daemon.jobs(uid: uid).isEmpty)
        for id in [job.id, next.id] {
          for path in [Route.job(id), Route.jobResult(id)] {
            #expect(try await daemon.get(path, uid: uid).code == "job_not_found")
          }
          let answer = try await RawConnection(daemon.socketPath, uid: uid)
            .exchange("DELETE", Route.job(id))
          #expect(answer.code == "job_not_found")
        }
        let status = try await daemon.get(Route.status, uid: uid).body
        #expect(status.contains(#""running_jobs":1"#) && !status.contains(job.id))
      }
      // The admin sees them, and what they ask for stays with them.
      let all = try await RawConnection(daemon.adminSocketPath).exchange("GET", Route.jobs)
      #expect(all.body.contains(job.id) && all.body.contains(next.id))
      #expect(!all.body.contains("secret"))
      engine.release()
      #expect(try await client.answer().status == 200)
      #expect(try await waiting.answer().status == 200)
      #expect(try await daemon.get(Route.jobResult(job.id), uid: Self.ben).status == 404)
      #expect(try await daemon.get(Route.jobResult(job.id), uid: Self.ann).status == 200)
    }
  }

  /// What a peel needs before it can be drawn with is worked out beside the engine, in its user's
  /// turn, on a thread that steps back.
  @Test func aPeelThatTakesItsTimeDelaysItsUserAlone() async throws {
    let gate = DispatchSemaphore(value: 0)
    let isPreparing = Mutex(false)
    let engine = FakeEngine(preparingPeel: { _ in
      #expect(
        getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) == BackgroundThread.niceness)
      isPreparing.withLock { $0 = true }
      gate.wait()
    })
    try await Self.serving(engine) { daemon async throws in
      let made = try await RawConnection(daemon.socketPath, uid: Self.ann)
        .exchange("POST", "\(Route.peels)?name=slow", body: TestPeel.bytes())
      #expect(made.status == 201)
      let slow = try await daemon.begin("a", #""peels":["slow"]"#, uid: Self.ann)
      #expect(await eventually { isPreparing.withLock { $0 } })
      for _ in 0..<3 {
        #expect(try await daemon.begin("b", uid: Self.ben).answer().status == 200)
      }
      #expect(try await daemon.begin("c", uid: Self.ann).answer().status == 200)
      gate.signal()
      #expect(try await slow.answer().status == 200)
    }
  }

  @Test func drawsJobsOfSeveralUsersInOneBatch() async throws {
    let engine = FakeEngine(isHeld: true, drawsPixels: true)
    let limits = EngineLimits(batch: 4, threads: 1, pace: 1)
    try await Self.serving(engine, .init(limits: limits)) { daemon async throws in
      let first = try await daemon.begin("first", #""steps":9"#)
      #expect(await eventually { engine.record.batches == [1] })
      var clients: [RawConnection] = []
      for (index, uid) in [Self.ann, Self.ben, Self.ann].enumerated() {
        clients.append(
          try await daemon.begin("p\(index)", #""size":"256x256","seed":5"#, uid: uid))
      }
      #expect(
        try await eventually {
          try await daemon.get(Route.status).body.contains(#"queue_depth":3"#)
        })
      engine.release()
      #expect(try await first.answer().status == 200)
      for (index, client) in clients.enumerated() {
        let answer = try await client.answer()
        let response = try JSONDecoder().decode(
          ImageGenerationResponse.self, from: Data(answer.body.utf8))
        // Each gets its own picture.
        let request = PictureRequest(
          prompt: "p\(index)", size: PictureSize(width: 256, height: 256), seed: 5)
        #expect(Array(response.data[0].png) == TestPattern.png(request, seed: 5))
      }
      // The first may have made way for the others.
      #expect(engine.record.batches.filter { $0 > 1 } == [3])
    }
  }

  /// Two users who both have work waiting, one of them twice as much, get the same.
  @Test func sharesTheEngineWithin10Percent() async throws {
    let engine = FakeEngine(isHeld: true)
    let configuration = DaemonConfiguration(waitingJobs: 64, quotas: .off)
    try await Self.serving(engine, configuration) { daemon async throws in
      var clients = [try await daemon.begin("first")]
      #expect(await eventually { engine.record.requests.count == 1 })
      for (name, uid, count) in [("ben", Self.ben, 40), ("ann", Self.ann, 20)] {
        for _ in 0..<count { clients.append(try await daemon.begin(name, uid: uid)) }
      }
      #expect(
        try await eventually {
          try await daemon.get(Route.status).body.contains(#""queue_depth":60"#)
        })
      engine.release()
      for client in clients { #expect(try await client.answer().status == 200) }
      let drawn = engine.record.requests.dropFirst().prefix(40).map(\.prompt)
      let share = Double(drawn.count { $0 == "ann" }) / 20
      #expect(abs(share - 1) <= 0.1, "\(share)")
    }
  }

  @Test func chargesQuotasByUser() async throws {
    let engine = FakeEngine(isHeld: true)
    let quotas = Quotas(
      requestsPerMinute: 0, concurrentJobs: 2, queueShare: 0, pixelsPerDay: 3 * 512 * 512)
    try await Self.serving(engine, .init(quotas: quotas)) { daemon async throws in
      let clients = [
        try await daemon.begin("a", uid: Self.ann), try await daemon.begin("b", uid: Self.ann),
      ]
      _ = try await daemon.jobs(1, .waiting, uid: Self.ann)
      let refused = try await daemon.begin("c", uid: Self.ann).answer()
      #expect(refused.status == 429 && refused.code == "quota_exceeded")
      #expect(refused.body.contains("has 2 jobs that are not done"))
      #expect(Int(refused.headers["retry-after"] ?? "") ?? 0 >= 1)
      // Neither another user nor root is held up by it.
      let others = [
        try await daemon.begin("d", uid: Self.ben), try await daemon.begin("e"),
        try await daemon.begin("f"), try await daemon.begin("g"),
      ]
      #expect(
        try await eventually {
          try await daemon.get(Route.status).body.contains(#"queue_depth":5"#)
        })
      engine.release()
      for client in clients + others { #expect(try await client.answer().status == 200) }
      // Two of the day's three pictures are drawn, hence two more are one too many.
      let tooMany = try await daemon.begin("h", #""n":2"#, uid: Self.ann).answer()
      #expect(tooMany.code == "quota_exceeded" && tooMany.body.contains("pixels a day"))
      #expect(try await daemon.begin("i", uid: Self.ann).answer().status == 200)
    }
  }

  @Test func countsRequestsOfEachUser() async throws {
    let quotas = Quotas(requestsPerMinute: 1, concurrentJobs: 0, queueShare: 0, pixelsPerDay: 0)
    try await Self.serving(FakeEngine(), .init(quotas: quotas)) { daemon async throws in
      #expect(try await daemon.begin("a", uid: Self.ann).answer().status == 200)
      #expect(try await daemon.begin("a", uid: Self.ann).answer().code == "quota_exceeded")
      #expect(try await daemon.begin("a", uid: Self.ben).answer().status == 200)
      // New settings count at once.
      await daemon.daemon.apply(.init(quotas: .off))
      #expect(try await daemon.begin("a", uid: Self.ann).answer().status == 200)
    }
  }

  @Test func leavesRoomInTheQueue() async throws {
    let engine = FakeEngine(isHeld: true)
    let quotas = Quotas(requestsPerMinute: 0, concurrentJobs: 0, queueShare: 0.5, pixelsPerDay: 0)
    try await Self.serving(engine, .init(waitingJobs: 4, quotas: quotas)) { daemon async throws in
      var clients = [try await daemon.begin("first")]
      #expect(await eventually { engine.record.requests.count == 1 })
      for index in 1...2 {
        clients.append(try await daemon.begin("a", uid: Self.ann))
        _ = try await daemon.jobs(index, .waiting, uid: Self.ann)
      }
      let refused = try await daemon.begin("a", uid: Self.ann).answer()
      #expect(refused.code == "quota_exceeded" && refused.body.contains("2 places of the queue"))
      // Before an image is looked at, which here is none.
      var form = TestForm()
      form.addFile("image", Array("x".utf8))
      form.add("prompt", "p")
      #expect(try await form.post(to: daemon, uid: Self.ann).code == "quota_exceeded")
      for index in 1...2 {
        clients.append(try await daemon.begin("b", uid: Self.ben))
        _ = try await daemon.jobs(index, .waiting, uid: Self.ben)
      }
      // The queue is full, but for those who have nothing in it.
      clients.append(try await daemon.begin("c", uid: Self.cid))
      _ = try await daemon.jobs(1, .waiting, uid: Self.cid)
      #expect(try await daemon.begin("c", uid: Self.cid).answer().code == "busy")
      engine.release()
      for client in clients { #expect(try await client.answer().status == 200) }
    }
  }

  /// Many uids are one account: those that a user was given, and those that nobody knows. What
  /// belongs to one of them stays hidden from the others.
  @Test func countsUidsOfOneAccountTogether() async throws {
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/subuid"
      try Data("\(Self.ann):200000:65536\n".utf8).write(to: URL(filePath: path))
      let known = [Self.ann, Self.ben]
      let users = UserDatabase(
        user: { known.contains($0) ? .user($0) : .nobody }, userNamed: { _ in .nobody })
      let accounts = AccountBook(users: users, subordinateFile: path)
      let quotas = Quotas(requestsPerMinute: 1, concurrentJobs: 0, queueShare: 0, pixelsPerDay: 0)
      try await Self.serving(FakeEngine(), .init(quotas: quotas), accounts: accounts) {
        daemon async throws in
        let (sub, stranger) = (UInt32(200_000), UInt32(300_000))
        #expect(
          try await daemon.begin("a", #""store":true"#, uid: sub).answer().status == 200)
        for uid in [Self.ann, sub, sub + 65_535] {
          let refused = try await daemon.begin("a", uid: uid).answer()
          #expect(refused.status == 429 && refused.body.contains("User \(Self.ann) has sent its"))
        }
        #expect(try await daemon.jobs(uid: sub).map(\.uid) == [sub])
        for uid in [Self.ann, sub + 1] { #expect(try await daemon.jobs(uid: uid).isEmpty) }
        #expect(try await daemon.begin("b", uid: Self.ben).answer().status == 200)
        #expect(try await daemon.begin("c", uid: stranger).answer().status == 200)
        let refused = try await daemon.begin("c", uid: stranger + 7).answer()
        #expect(refused.body.contains("The account of all users that are not in the user database"))
      }
    }
  }
}
