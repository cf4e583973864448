import BananaAPI
import BananaSDK
import BananaTesting
import Diffusion
import Serving
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct BananaClientTests {
  @Test func drawsPictures() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let request = ImageGenerationRequest(
        prompt: "a red apple", count: 2, size: "256x256", style: "flat", seed: 41)
      let answer = try await client.generate(request)
      #expect(answer.data.map(\.seed) == [41, 42])
      #expect(answer.data.allSatisfy { Array($0.png.prefix(8)) == TestPattern.signature })
      #expect(engine.record.requests.first?.style == "flat")
    }
  }

  @Test func reportsProgressInOrder() async throws {
    try await TestDaemon.serving(FakeEngine(stepDuration: .milliseconds(2))) {
      daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let seen = Seen()
      let request = ImageGenerationRequest(prompt: "p", count: 2, seed: 1, steps: 3)
      let answer = try await client.generate(request) { seen.add($0) }
      #expect(answer.data.map(\.seed) == [1, 2])
      #expect(
        seen.all.map(\.stage) == [.text] + [GenerationProgress.Stage](repeating: .denoise, count: 6)
      )
      #expect(seen.all.filter { $0.stage == .denoise }.map(\.step) == [1, 2, 3, 1, 2, 3])
      #expect(seen.all.last?.secondsLeft != nil)
      let plain = try await client.generate(request)
      #expect(plain.data == answer.data)
    }
  }

  @Test func tellsOfModelsAndStatus() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      try await client.checkReady()
      let models = try await client.models()
      #expect(models.map(\.id) == ["fake"])
      #expect(try await client.model("fake") == models[0])
      await #expect(throws: BananaError.self) { try await client.model("a/b c\u{1F34C}") }
      let status = try await client.status()
      #expect(status.model.status == .available)
      #expect(status.socket == daemon.socketPath)
      #expect(status.version == BananaVersion.current)
      #expect((status.memory.residentBytes ?? 0) > 1 << 20)
    }
  }

  @Test func saysThatNoDaemonIsThere() async throws {
    let path = "/tmp/no-banana-here.sock"
    await #expect(throws: BananaError.daemonNotRunning(socketPath: path)) {
      try await BananaClient(socketPath: path).status()
    }
  }

  @Test func givesTheDaemonsErrors() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      for streams in [false, true] {
        let error = await #expect(throws: BananaError.self) {
          let request = ImageGenerationRequest(prompt: "p", style: "cubist")
          _ =
            streams
            ? try await client.generate(request) { _ in } : try await client.generate(request)
        }
        guard case .refused(let refusal) = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect(refusal.code == .invalidRequest)
        #expect(refusal.param == "style")
        #expect(error?.retryAfter == nil)
      }
    }
  }

  @Test func givesAnErrorThatComesInTheStream() async throws {
    let failure = EngineError.insufficientMemory(neededBytes: 2, availableBytes: 1)
    try await TestDaemon.serving(FakeEngine(failure: failure)) { daemon async throws in
      let error = await #expect(throws: BananaError.self) {
        try await BananaClient(socketPath: daemon.socketPath)
          .generate(ImageGenerationRequest(prompt: "p")) { _ in }
      }
      #expect(error?.retryAfter == .seconds(30))
    }
  }

  @Test(arguments: [false, true])
  func cancellingTheTaskCancelsTheJob(_ streams: Bool) async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let request = ImageGenerationRequest(prompt: "p")
      let task = Task {
        streams ? try await client.generate(request) { _ in } : try await client.generate(request)
      }
      #expect(await eventually { engine.record.requests.count == 1 })
      task.cancel()
      await #expect(throws: BananaError.cancelled) { try await task.value }
      #expect(await eventually { engine.record.cancelled == 1 })
    }
  }

  private final class Seen: Sendable {
    private let progress = Mutex<[GenerationProgress]>([])
    var all: [GenerationProgress] { progress.withLock { $0 } }
    func add(_ one: GenerationProgress) { progress.withLock { $0.append(one) } }
  }
}
