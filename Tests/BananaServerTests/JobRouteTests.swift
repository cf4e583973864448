import BananaAPI
import BananaTesting
import FoundationEssentials
import Serving
import Testing

/// `/v1/jobs`, cancelling, deadlines and stored results.
@Suite(.timeLimit(.minutes(5))) struct JobRouteTests {
  private static func delete(_ id: String, at path: String) async throws -> RawConnection.Answer {
    try await RawConnection(path).exchange("DELETE", Route.job(id))
  }

  @Test func showsAndCancelsJobs() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let first = try await daemon.begin("a", #""n":2,"size":"256x256","steps":7"#)
      let running = try #require(try await daemon.jobs(1, .running).first)
      #expect(running.size == "256x256" && running.pictures == 2 && running.steps == 7)
      #expect(running.jobsAhead == nil)
      #expect(try await eventually { try await daemon.jobs().first?.progress?.stage == .text })
      let second = try await daemon.begin("b", #""priority":"background""#)
      let waiting = try #require(try await daemon.jobs(1, .waiting).first)
      #expect(waiting.jobsAhead == 1 && waiting.priority == .background)
      #expect(try await daemon.get(Route.job(waiting.id)).status == 200)

      // One that waits is gone at once, one that runs after its step.
      let gone = try await Self.delete(waiting.id, at: daemon.socketPath)
      #expect(gone.status == 200 && gone.body.contains(#""state":"failed""#))
      #expect(try await second.answer().code == "cancelled")
      let ending = try await Self.delete(running.id, at: daemon.socketPath)
      #expect(ending.status == 200)
      let answer = try await first.answer()
      #expect(answer.status == 499 && answer.code == "cancelled")
      #expect(engine.record.cancelled == 1 && engine.record.finished == 0)
      #expect(try await daemon.jobs().isEmpty)
      #expect(try await Self.delete(running.id, at: daemon.socketPath).code == "job_not_found")
    }
  }

  @Test func cancelsWithinOneStep() async throws {
    let engine = FakeEngine(stepDuration: .milliseconds(40))
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = try await daemon.begin("a", #""steps":50"#)
      #expect(await eventually { engine.record.steps >= 2 })
      let job = try #require(try await daemon.jobs(1, .running).first)
      _ = try await Self.delete(job.id, at: daemon.socketPath)
      let steps = engine.record.steps
      #expect(try await client.answer().status == 499)
      // The one that was under way is the last.
      #expect(engine.record.steps <= steps + 1)
    }
  }

  @Test func oneOfABatchCanLeaveIt() async throws {
    let engine = FakeEngine(isHeld: true)
    let limits = EngineLimits(batch: 4, threads: 1, pace: 1)
    try await TestDaemon.serving(engine, configuration: .init(limits: limits)) {
      daemon async throws in
      let first = try await daemon.begin("other", #""steps":9"#)
      #expect(await eventually { engine.record.batches == [1] })
      var clients: [RawConnection] = []
      for name in ["a", "b", "c"] {
        clients.append(try await daemon.begin(name))
        _ = try await daemon.jobs(clients.count, .waiting)
      }
      first.hangUp()
      #expect(await eventually { engine.record.batches == [1, 3] })
      clients[1].hangUp()
      #expect(try await daemon.jobs(2, .running).count == 2)
      engine.release()
      #expect(try await clients[0].answer().status == 200)
      #expect(try await clients[2].answer().status == 200)
      #expect(engine.record.finished == 2 && engine.record.cancelled == 2)
    }
  }

  @Test(arguments: [true, false])
  func endsAtTheDeadline(_ isRunning: Bool) async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let other = isRunning ? nil : try await daemon.begin("first")
      if !isRunning { #expect(await eventually { engine.record.requests.count == 1 }) }
      let late = try await daemon.begin("late", #""deadline_seconds":0.05"#)
      let answer = try await late.answer()
      #expect(answer.status == 504 && answer.code == "deadline_exceeded")
      #expect(answer.headers["retry-after"] != nil)
      engine.release()
      if let other { #expect(try await other.answer().status == 200) }
      let early = try await daemon.begin("early", #""deadline_seconds":60"#)
      #expect(try await early.answer().status == 200)
    }
  }

  @Test func keepsTheAnswerOfAClientThatWentAway() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = try await daemon.begin("p", #""store":true,"seed":41"#)
      let job = try #require(try await daemon.jobs(1, .running).first)
      #expect(job.isStored)
      client.hangUp()
      // Somebody may wait for it.
      let waiting = try RawConnection(daemon.socketPath)
      try await waiting.send(RawConnection.request("GET", Route.jobResult(job.id)))
      try await Task.sleep(for: .milliseconds(20))
      engine.release()
      for answer in [try await waiting.answer(), try await daemon.get(Route.jobResult(job.id))] {
        #expect(answer.status == 200)
        let response = try JSONDecoder().decode(
          ImageGenerationResponse.self, from: Data(answer.body.utf8))
        #expect(response.data.map(\.seed) == [41] && response.job == job.id)
      }
      #expect(try await daemon.jobs(1, .finished).map(\.id) == [job.id])
      #expect(try await Self.delete(job.id, at: daemon.socketPath).status == 200)
      #expect(try await daemon.get(Route.jobResult(job.id)).code == "job_not_found")
    }
  }

  @Test func keepsAnswersWithinBounds() async throws {
    try await TestDaemon.serving(configuration: .init(resultBytes: 3000)) { daemon async throws in
      for index in 0..<4 {
        let answer = try await daemon.begin("p\(index)", #""store":true,"seed":\#(index)"#).answer()
        #expect(answer.status == 200)
      }
      // Each counts as 1024 bytes and its pictures, and the oldest go first.
      let kept = try await daemon.jobs(2, .finished)
      #expect(kept.count == 2)
      let last = try #require(kept.last)
      #expect(try await daemon.get(Route.jobResult(last.id)).body.contains(#""seed":"#))
    }
  }

  @Test func keepsAnswersForAWhile() async throws {
    try await TestDaemon.serving(configuration: .init(resultSeconds: 1)) { daemon async throws in
      let answer = try await daemon.begin("p", #""store":true"#).answer()
      let response = try JSONDecoder().decode(
        ImageGenerationResponse.self, from: Data(answer.body.utf8))
      let path = Route.jobResult(try #require(response.job))
      #expect(try await eventually { try await daemon.get(path).code == "job_not_found" })
      #expect(try await daemon.jobs().isEmpty)
    }
  }

  @Test func keepsFailuresToo() async throws {
    let engine = FakeEngine(failure: .lost)
    try await TestDaemon.serving(engine) { daemon async throws in
      #expect(try await daemon.begin("p", #""store":true"#).answer().status == 500)
      let job = try #require(try await daemon.jobs(1, .failed).first)
      #expect(job.error?.code == .internalError)
      #expect(try await daemon.get(Route.jobResult(job.id)).code == "internal_error")
    }
  }

  @Test func forgetsOtherJobs() async throws {
    try await TestDaemon.serving { daemon async throws in
      let answer = try await BananaServerTests.answer(to: #"{"prompt":"p"}"#, from: daemon)
      let id = try #require(answer.job)
      #expect(try await daemon.get(Route.job(id)).code == "job_not_found")
      #expect(try await daemon.get(Route.jobResult(id)).code == "job_not_found")
    }
  }
}
