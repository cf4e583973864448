import CPUBackend
import Diffusion
import Foundation
import Models
import Serving
import Synchronization
import TensorTypes
import Testing

/// What heat and memory allow, on the real engine with the tiny model.
@Suite struct EngineLimitsTests {
  private let engine: DiffusionEngine

  init() throws {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let model = try LoadedModel(
      path: root.appending(path: "Tests/Fixtures/goldens/tiny").path)
    engine = DiffusionEngine(model, backend: CPUBackend(threadCount: 1), activations: .int8)
  }

  private func request(_ prompt: String, seed: UInt64, steps: Int) -> PictureRequest {
    PictureRequest(
      prompt: prompt, size: PictureSize(width: 64, height: 64), steps: steps, seed: seed)
  }

  private func draw(_ jobs: [PictureJob]) async {
    _ = await engine.generate(jobs, yields: { false })
  }

  private func draw(_ request: PictureRequest) async throws -> [PictureResult.Picture] {
    let record = JobRecord()
    await draw([record.job(request)])
    return try record.pictures()
  }

  @Test func aSlowerPaceSleepsBetweenSteps() async throws {
    engine.apply(EngineLimits(batch: 1, threads: 1, pace: 0.1))
    let record = JobRecord()
    let start = ContinuousClock.now
    await draw([record.job(request("frog", seed: 2, steps: 8))])
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let result = try #require(try record.current.results.first?.get())
    let busy = result.secondsByStage.values.reduce(0, +)
    // However slow the machine: what was computed is a tenth of the time.
    #expect(elapsed > 9 * busy)
  }

  /// A pass that is under way gets smaller with the limits, and larger again; its pictures stay as
  /// they are.
  @Test func limitsHoldFromTheNextStepOn() async throws {
    let requests = (0..<3).map { request("frog", seed: UInt64($0), steps: 6) }
    engine.apply(EngineLimits(batch: 1, threads: 1, pace: 1))
    var alone: [[UInt8]] = []
    for request in requests { alone.append(try await draw(request)[0].png) }
    engine.apply(EngineLimits(batch: 3, threads: 1, pace: 1))
    let records = requests.map { _ in JobRecord() }
    let order = Mutex<[String]>([])
    let jobs = requests.indices.map { index in
      var job = records[index].job(requests[index])
      let progress = job.progress
      job.progress = { [engine] in
        progress($0)
        guard $0.stage == .denoise, $0.step > 0 else { return }
        let count = order.withLock { [step = $0.step] in
          $0.append("\(index):\(step)")
          return $0.count
        }
        if count == 6 { engine.apply(EngineLimits(batch: 1, threads: 1, pace: 1)) }
        if count == 8 { engine.apply(EngineLimits(batch: 2, threads: 1, pace: 1)) }
      }
      return job
    }
    await draw(jobs)
    #expect(
      order.withLock { $0 } == [
        "0:1", "1:1", "2:1", "0:2", "1:2", "2:2", "0:3", "0:4", "1:2", "0:5", "1:3", "0:6", "1:4",
        "2:2", "1:5", "2:3", "1:6", "2:4", "2:5", "2:6",
      ])
    #expect(try records.map { try $0.pictures()[0].png } == alone)
  }

  /// Others who want their turn need not wait until the texts of all jobs of a pass are encoded.
  @Test func turnsEndBetweenTheTextsOfAPass() async throws {
    engine.apply(EngineLimits(batch: 3, threads: 1, pace: 1))
    let requests = (0..<3).map { request("frog \($0)", seed: UInt64($0), steps: 2) }
    var alone: [[UInt8]] = []
    for request in requests { alone.append(try await draw(request)[0].png) }
    let encoded = Mutex<[Int]>([])
    let jobs = requests.indices.map { index in
      let record = JobRecord()
      var job = record.job(requests[index], state: EngineState())
      let progress = job.progress
      job.progress = {
        progress($0)
        if $0.stage == .text, $0.step == 1 { encoded.withLock { $0.append(index) } }
      }
      return (record: record, job: job)
    }
    _ = await engine.generate(jobs.map { $0.job }, yields: { true })
    #expect(encoded.withLock { $0 } == [0])
    #expect(jobs.allSatisfy { $0.record.current.results.isEmpty })
    for turn in 1... {
      let left = jobs.filter { $0.record.current.results.isEmpty }
      if left.isEmpty { break }
      try #require(turn < 50)
      _ = await engine.generate(left.map { $0.job }, yields: { true })
    }
    #expect(encoded.withLock { $0 } == [0, 1, 2])
    #expect(try jobs.map { try $0.record.pictures()[0].png } == alone)
  }

  /// A rest of a minute ends with the last job that it is for, or with the heat.
  @Test func restsEndWithTheirReason() async throws {
    for endsByHeat in [true, false] {
      engine.apply(EngineLimits(batch: 1, threads: 1, pace: 1e-6))
      let record = JobRecord()
      let job = record.job(request("frog", seed: 2, steps: 2))
      let start = ContinuousClock.now
      async let drawn = draw([job])
      try await Task.sleep(for: .milliseconds(300))
      if endsByHeat {
        engine.apply(EngineLimits(batch: 1, threads: 1, pace: 1))
      } else {
        record.cancel()
      }
      _ = await drawn
      #expect(ContinuousClock.now - start < .seconds(40))
      if endsByHeat {
        #expect(try record.pictures().count == 1)
      } else {
        #expect(throws: EngineError.cancelled) { try record.pictures() }
      }
    }
  }
}
