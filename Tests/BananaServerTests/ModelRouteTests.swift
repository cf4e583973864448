import BananaAPI
import BananaServer
import BananaTesting
import FoundationEssentials
import Models
import Synchronization
import Testing

@testable import Serving

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Several models through the socket.
@Suite(.timeLimit(.minutes(5))) struct ModelRouteTests {
  private final class Gate: Sendable {
    private let isShut = Mutex(true)
    func open() { isShut.withLock { $0 = false } }
    func wait() { while isShut.withLock({ $0 }) { usleep(1000) } }
  }

  private func engines(_ names: [String]) -> [String: FakeEngine] {
    Dictionary(uniqueKeysWithValues: names.map { ($0, FakeEngine(isHeld: true, name: $0)) })
  }

  private func serving(
    _ engines: [String: FakeEngine], _ configuration: DaemonConfiguration = .init(),
    gate: Gate? = nil,
    _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await TemporaryFolder.with { folder async throws in
      let daemon = try TestDaemon(
        socketPath: folder + "/b.sock", configuration: configuration,
        list: { engines.values.map { InstalledModel(of: $0) } },
        opener: { model, _ in
          gate?.wait()
          return engines[model.name]!
        })
      do { try await body(daemon) } catch {
        for engine in engines.values { engine.release() }
        try await daemon.stop()
        throw error
      }
      for engine in engines.values { engine.release() }
      try await daemon.stop()
    }
  }

  private func get(_ path: String, _ daemon: TestDaemon) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath).exchange("GET", path)
  }

  @Test func requestsNameAModel() async throws {
    let engines = engines(["a", "sticker"])
    for engine in engines.values { engine.release() }
    let aliases = ModelAliases(["dall-e-3": "a"])
    try await serving(engines, .init(modelAliases: aliases)) { daemon async throws in
      for (fields, name) in [
        ("", "sticker"), (#","model":"a""#, "a"), (#","model":"dall-e-3""#, "a"),
        (#","model":"sticker""#, "sticker"),
      ] {
        let answer = try await post(#"{"prompt":"p"\#(fields)}"#, to: daemon)
        #expect(answer.status == 200)
        #expect(answer.body.contains(#""model":"\#(name)""#), "\(fields)")
      }
      let unknown = try await post(#"{"prompt":"p","model":"none"}"#, to: daemon)
      #expect(unknown.status == 404 && unknown.code == "model_not_found")
      #expect(unknown.body.contains("a, sticker, dall-e-3"))
      let list = try JSONDecoder().decode(
        ModelList.self, from: Data(try await get("/v1/models", daemon).body.utf8)
      ).data
      #expect(list.map(\.id) == ["a", "dall-e-3", "sticker"])
      #expect(list.map(\.isDefault) == [false, false, true])
      #expect(list.allSatisfy { $0.state == .open && $0.defaultSteps == 4 })
    }
  }

  /// Whoever asks what goes on is told at once while a model is on its way.
  @Test func nothingElseWaitsForAnOpening() async throws {
    let engines = engines(["a", "sticker"])
    let gate = Gate()
    try await serving(engines, gate: gate) { daemon async throws in
      defer { gate.open() }
      let drawing = try await daemon.begin("p")
      #expect(
        try await eventually {
          try await get("/v1/status", daemon).body.contains(#""state":"opening""#)
        })
      for path in ["/healthz", "/v1/models", "/v1/models/a", "/metrics", "/v1/peels", "/v1/jobs"] {
        #expect(try await get(path, daemon).status == 200, "\(path)")
      }
      let status = try JSONDecoder().decode(
        DaemonStatus.self, from: Data(try await get("/v1/status", daemon).body.utf8))
      #expect(status.models?.map(\.id) == ["a", "sticker"])
      #expect(status.models?.map(\.state) == [.closed, .opening])
      #expect(status.model == .init(id: "sticker", status: .available, reason: nil))
      gate.open()
      engines["sticker"]?.release()
      #expect(try await drawing.answer().status == 200)
    }
  }

  @Test func aDeadlineHoldsWhileAModelOpens() async throws {
    let gate = Gate()
    try await serving(engines(["a"]), gate: gate) { daemon async throws in
      defer { gate.open() }
      let answer = try await post(#"{"prompt":"p","deadline_seconds":0.05}"#, to: daemon)
      #expect(answer.status == 504 && answer.code == "deadline_exceeded")
    }
  }

  /// Jobs of different models are never drawn together, and not at once either.
  @Test func modelsShareNoBatch() async throws {
    let engines = engines(["a", "sticker"])
    let limits = EngineLimits(batch: 8, threads: 1, pace: 1)
    try await serving(engines, .init(limits: limits)) { daemon async throws in
      let first = try await daemon.begin("p")
      _ = try await daemon.jobs(1, .running)
      var others: [RawConnection] = []
      for (index, name) in ["a", "sticker", "a"].enumerated() {
        others.append(try await daemon.begin("p", #""model":"\#(name)""#))
        _ = try await daemon.jobs(index + 1, .waiting)
      }
      engines["sticker"]?.release()
      #expect(try await first.answer().status == 200)
      #expect(await eventually { engines["a"]?.record.batches == [2] })
      #expect(engines["sticker"]?.record.finished == 1)
      engines["a"]?.release()
      for connection in others { #expect(try await connection.answer().status == 200) }
      #expect(engines["sticker"]?.record.finished == 2 && engines["a"]?.record.finished == 2)
    }
  }

  /// A peel says for which models it is, is refused when it is for none, and draws with no other.
  @Test func peelsAreForModels() async throws {
    let engines = engines(["a", "sticker"])
    for engine in engines.values { engine.release() }
    try await serving(engines) { daemon async throws in
      func install(_ name: String, base: String?) async throws -> RawConnection.Answer {
        let metadata = base.map { ["banana.base_sha256": $0] } ?? [:]
        return try await RawConnection(daemon.socketPath).exchange(
          "POST", "\(Route.peels)?name=\(name)", body: TestPeel.bytes(metadata: metadata))
      }
      #expect(try await install("any", base: nil).body.contains(#""models":["a","sticker"]"#))
      #expect(try await install("only-a", base: "a").body.contains(#""models":["a"]"#))
      let none = try await install("none", base: "b")
      #expect(none.status == 422 && none.code == "peel_invalid")
      let list = try JSONDecoder().decode(
        PeelList.self, from: Data(try await get(Route.peels, daemon).body.utf8)
      ).data
      #expect(list.map(\.name) == ["any", "only-a"])
      #expect(list.map(\.models) == [["a", "sticker"], ["a"]])
      let wrong = try await post(#"{"prompt":"p","peels":["only-a"]}"#, to: daemon)
      #expect(wrong.status == 422 && wrong.code == "peel_invalid")
      let right = try await post(#"{"prompt":"p","model":"a","peels":["only-a"]}"#, to: daemon)
      #expect(right.status == 200)
    }
  }

  /// Few sizes are listed, of many it is told what they have in common.
  @Test func manySizesAreToldAsARule() {
    var report = ModelLibrary.Report(
      model: InstalledModel(of: FakeEngine()), state: .open, description: FakeEngine().model,
      isDefault: true)
    let few = ModelInfo(report)
    #expect(few.sizes == ["256x256", "512x512"] && few.sizeRule == nil)
    #expect(few.maximumClipSkip == 1)
    let sides = Array(stride(from: 256, through: 1024, by: 64))
    report.description?.sizes = sides.flatMap { width in
      sides.map { OfferedSize(PictureSize(width: width, height: $0)) }
    }
    let many = ModelInfo(report)
    #expect(many.sizes == ["512x512"] && many.nativeSize == "512x512")
    #expect(many.sizeRule == .init(multipleOf: 64, minimum: 256, maximum: 1024))
    report.description = nil
    let unknown = ModelInfo(report)
    #expect(unknown.sizes == [] && unknown.sizeRule == nil && unknown.maximumClipSkip == nil)
  }
}
