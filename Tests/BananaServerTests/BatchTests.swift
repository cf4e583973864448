import BananaAPI
import BananaServer
import BananaTesting
import FoundationEssentials
import Serving
import Testing

/// Which jobs are drawn together, and whether they fit into memory.
@Suite(.timeLimit(.minutes(5))) struct BatchTests {
  private static func configuration(batch: Int) -> DaemonConfiguration {
    // Nobody makes way.
    DaemonConfiguration(
      limits: EngineLimits(batch: batch, threads: 2, pace: 1), turn: .seconds(600))
  }

  /// Holds the engine with one job, lets others come, and says in which batches they are drawn.
  private static func batches(
    of fields: [String], batch: Int, availableBytes: Int? = nil, engine: FakeEngine
  ) async throws -> [Int] {
    try await TestDaemon.serving(
      engine, configuration: configuration(batch: batch), availableBytes: availableBytes
    ) { daemon async throws in
      var clients = [try await daemon.begin("first", #""steps":9"#)]
      #expect(await eventually { engine.record.batches == [1] })
      for (index, fields) in fields.enumerated() {
        clients.append(try await daemon.begin("p\(index)", fields))
        _ = try await daemon.jobs(index + 1, .waiting)
      }
      engine.release()
      for client in clients { #expect(try await client.answer().status == 200) }
      return Array(engine.record.batches.dropFirst())
    }
  }

  @Test func drawsEqualShapesTogether() async throws {
    let same = #""size":"256x256""#
    #expect(
      try await Self.batches(
        of: [same, same, #""size":"512x512""#, same, same, same], batch: 4,
        engine: FakeEngine(isHeld: true)) == [4, 1, 1])
  }

  @Test func countsPicturesNotJobs() async throws {
    let engine = FakeEngine(isHeld: true)
    #expect(
      try await Self.batches(
        of: [#""n":3"#, #""n":2"#, #""n":1"#, #""n":9"#], batch: 4, engine: engine) == [2, 1, 1])
    #expect(engine.record.limits.batch == 4)
  }

  @Test func doesNotSlowTheUrgentDownForOthers() async throws {
    #expect(
      try await Self.batches(
        of: [#""priority":"background""#, #""priority":"interactive""#, #""priority":"normal""#],
        batch: 4, engine: FakeEngine(isHeld: true)) == [1, 1, 1])
  }

  @Test func drawsFewerAtOnceWhenMemoryIsShort() async throws {
    let engine = FakeEngine(isHeld: true, pictureBytes: 100)
    #expect(
      try await Self.batches(
        of: [#""n":1"#, #""n":1"#, #""n":1"#], batch: 4, availableBytes: 250, engine: engine)
        == [2, 1])
    #expect(engine.record.limits.batch == 2)
  }

  @Test func refusesWhatNeverFits() async throws {
    let engine = FakeEngine(pictureBytes: 100)
    try await TestDaemon.serving(
      engine, configuration: Self.configuration(batch: 4), availableBytes: 99
    ) { daemon async throws in
      let answer = try await post(#"{"prompt":"p"}"#, to: daemon)
      #expect(answer.status == 503 && answer.code == "insufficient_memory")
      #expect(answer.headers["retry-after"] != nil)
      // Caches were given up before.
      #expect(engine.record.released == [.idlePlans] && engine.record.requests.isEmpty)
    }
  }

  @Test func passesTheGovernorsLimitsOn() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine, configuration: Self.configuration(batch: 4)) {
      daemon async throws in
      let client = try await daemon.begin("p")
      #expect(await eventually { engine.record.batches == [1] })
      #expect(engine.record.limits == EngineLimits(batch: 4, threads: 2, pace: 1))
      let hot = EngineLimits(batch: 1, threads: 1, pace: 0.5)
      daemon.daemon.scheduler.apply(hot)
      #expect(engine.record.limits == hot)
      engine.release()
      let answer = try await client.answer()
      #expect(answer.body.contains(#""thermal_limited":true"#))
      #expect(try await daemon.get(Route.metrics).body.contains("banana_pace 0.5\n"))
      daemon.daemon.scheduler.apply(EngineLimits(batch: 4, threads: 2, pace: 1))
      #expect(
        try await post(#"{"prompt":"p"}"#, to: daemon).body
          .contains(#""thermal_limited":false"#))
    }
  }
}
