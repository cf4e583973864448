import BananaAPI
import BananaSDK
import BananaTesting
import Serving
import Testing

/// A request's events, and how to get out of it.
@Suite(.timeLimit(.minutes(5))) struct EventsTests {
  @Test func tellsWhatHappensInOrder() async throws {
    try await TestDaemon.serving(FakeEngine(stepDuration: .milliseconds(2))) {
      daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      var request = ImageGenerationRequest(prompt: "p", count: 2, seed: 5, steps: 3)
      request.partialImages = 2
      var kinds: [String] = []
      var seeds: [UInt64] = []
      for try await event in client.events(for: request) {
        switch event {
        case .queued: continue
        case .progress(let progress): kinds.append(progress.stage.rawValue)
        case .partialImage(let preview):
          kinds.append("preview")
          #expect(Array(preview.png.prefix(8)) == TestPattern.signature)
        case .completed(let picture):
          kinds.append("completed")
          seeds.append(picture.seed)
        }
      }
      #expect(kinds.first == "text")
      #expect(kinds.filter { $0 == "preview" }.count == 4)
      #expect(kinds.suffix(2) == ["completed", "completed"])
      #expect(seeds.sorted() == [5, 6])
    }
  }

  @Test func saysHowManyJobsComeFirst() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let first = Task { try await client.generate(ImageGenerationRequest(prompt: "p")) }
      #expect(await eventually { engine.record.requests.count == 1 })
      // Of another shape, so that it is no batch with the first.
      let other = ImageGenerationRequest(prompt: "p", size: "256x256")
      var events = client.events(for: other).makeAsyncIterator()
      #expect(try await events.next() == .queued(jobsAhead: 1))
      engine.release()
      _ = try await first.value
      while let event = try await events.next() {
        if case .completed(let picture) = event { #expect(picture.size == "256x256") }
      }
    }
  }

  @Test func leavingTheLoopCancelsTheJob() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      for try await _ in client.events(for: ImageGenerationRequest(prompt: "p")) { break }
      #expect(await eventually { engine.record.cancelled == 1 })
    }
  }

  @Test func cancellingTheTaskEndsTheStreamAndTheJob() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let task = Task {
        for try await _ in client.events(for: ImageGenerationRequest(prompt: "p")) {}
        return Task.isCancelled
      }
      #expect(await eventually { engine.record.requests.count == 1 })
      task.cancel()
      #expect(try await task.value)
      #expect(await eventually { engine.record.cancelled == 1 })
    }
  }

  @Test func saysWhenToTryAgain() async throws {
    let engine = FakeEngine(isHeld: true)
    let configuration = DaemonConfiguration(waitingJobs: 1)
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let first = Task { try await client.generate(ImageGenerationRequest(prompt: "p")) }
      #expect(await eventually { engine.record.requests.count == 1 })
      let other = ImageGenerationRequest(prompt: "p", size: "256x256")
      let second = Task { try await client.generate(other) }
      #expect(await eventually { (try? await client.status().queueDepth) == 1 })
      let error = await #expect(throws: BananaError.self) {
        try await client.generate(ImageGenerationRequest(prompt: "p"))
      }
      #expect(error?.code == .busy)
      #expect((error?.retryAfter ?? .zero) >= .seconds(1))
      engine.release()
      _ = try await first.value
      _ = try await second.value
    }
  }

  @Test func listsAndCancelsJobs() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      #expect(try await client.jobs() == [])
      let task = Task { try await client.generate(ImageGenerationRequest(prompt: "p")) }
      #expect(await eventually { engine.record.requests.count == 1 })
      let job = try #require(try await client.jobs().first)
      #expect(try await client.job(job.id).id == job.id)
      try await client.cancelJob(job.id)
      let error = await #expect(throws: BananaError.self) { try await task.value }
      #expect(error?.code == .cancelled)
      let missing = await #expect(throws: BananaError.self) { try await client.job("none") }
      #expect(missing?.code == .jobNotFound)
    }
  }

  @Test func fetchesAStoredResult() async throws {
    try await TestDaemon.serving(FakeEngine()) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      var request = ImageGenerationRequest(prompt: "p", seed: 3)
      request.store = true
      let answer = try await client.generate(request)
      let job = try #require(answer.job)
      #expect(try await client.result(ofJob: job).data == answer.data)
    }
  }
}
