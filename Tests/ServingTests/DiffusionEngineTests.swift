import CPUBackend
import Diffusion
import Foundation
import Imaging
import Models
import Serving
import Synchronization
import TensorTypes
import Testing
import Weights

/// The real engine on the tiny model: jobs in batches, cancellation, previews, edits, provenance.
@Suite struct DiffusionEngineTests {
  private let model: LoadedModel
  private let engine: DiffusionEngine

  init() throws {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    model = try LoadedModel(
      path: root.appending(path: "Tests/Fixtures/goldens/tiny").path)
    engine = DiffusionEngine(
      model, backend: CPUBackend(threadCount: 1), activations: .int8)
  }

  private func request(
    _ prompt: String, seed: UInt64, count: Int = 1, steps: Int = 3, previews: Int = 0,
    peels: [PeelUse] = [], images: [ImageInput] = [], strength: Float = 1,
    marksProvenance: Bool = true
  ) -> PictureRequest {
    PictureRequest(
      prompt: prompt, size: PictureSize(width: 64, height: 64), steps: steps, seed: seed,
      count: count, previews: previews, peels: peels, images: images, strength: strength,
      marksProvenance: marksProvenance)
  }

  /// Draws until all jobs are done.
  @discardableResult
  private func draw(_ jobs: [PictureJob]) async -> [Double] {
    await engine.generate(jobs, yields: { false })
  }

  private func draw(_ request: PictureRequest) async throws -> [PictureResult.Picture] {
    let record = JobRecord()
    await draw([record.job(request)])
    return try record.pictures()
  }

  private func peel(seed: UInt64) throws -> PeelUse {
    try peel(of: (0..<64).map { Philox(seed: seed).normal(at: $0) })
  }

  private func peel(of weight: [Float]) throws -> PeelUse {
    let tensors = ["A", "B"].map { part in
      SafetensorsWriter.Tensor(
        name: "layers.0.out.lora_\(part).weight", type: .float32,
        shape: part == "A" ? [1, 64] : [64, 1], bytes: weight.withUnsafeBytes { Array($0) })
    }
    let file = try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel")
    return PeelUse(file: file, name: "wavy", strength: 0.5)
  }

  @Test func jobsOfEqualKeysAreDrawnTogetherAndAsAlone() async throws {
    let requests = [
      request("a red apple", seed: 4, count: 2), request("frog", seed: 9),
      request("x", seed: 1, count: 3),
    ]
    #expect(Set(requests.map(engine.batchKey)).count == 1)
    var alone: [[[UInt8]]] = []
    for request in requests { alone.append(try await draw(request).map(\.png)) }
    for batch in [1, 2, 4, 8] {
      engine.apply(EngineLimits(batch: batch, threads: 1, pace: 1))
      let records = requests.map { _ in JobRecord() }
      await draw(zip(records, requests).map { $0.job($1) })
      for (record, expected) in zip(records, alone) {
        #expect(try record.pictures().map(\.png) == expected, "batch \(batch)")
      }
      #expect(try records[2].pictures().map(\.seed) == [1, 2, 3])
    }
  }

  @Test func theFirstPictureOfACountIsThatOfItsSeed() async throws {
    let several = try await draw(request("frog", seed: 20, count: 3))
    #expect(try await draw(request("frog", seed: 21))[0].png.count > 100)
    let pixels = try PNG.decode(try await draw(request("frog", seed: 21))[0].png)
    #expect(try PNG.decode(several[1].png) == pixels)
  }

  @Test func emojiDrawWhatTheirNamesDo() async throws {
    func result(_ prompt: String) async throws -> PictureResult {
      let record = JobRecord()
      await draw([record.job(request(prompt, seed: 3, marksProvenance: false))])
      return try #require(record.current.results.first).get()
    }
    let named = try await result("red apple")
    let emoji = try await result("🍎")
    #expect(emoji.pictures[0].png == named.pictures[0].png)
    #expect(!named.isPromptUnknown && !emoji.isPromptUnknown)
    // Alchemical signs have no names here, and no tokens.
    #expect(try await result("🜁 🜂!").isPromptUnknown)
  }

  @Test func aCancelledJobLeavesAndTheOthersGoOn() async throws {
    engine.apply(EngineLimits(batch: 4, threads: 1, pace: 1))
    let expected = try await draw(request("frog", seed: 2, steps: 6))
    let (leaving, staying) = (JobRecord(), JobRecord())
    await draw([
      leaving.job(request("a red apple", seed: 1, count: 2, steps: 6), cancelAfter: 2),
      staying.job(request("frog", seed: 2, steps: 6)),
    ])
    #expect(leaving.current.results.count == 1)
    #expect(throws: EngineError.cancelled) { try leaving.pictures() }
    let steps = leaving.current.progress.filter { $0.stage == .denoise }.map(\.step)
    #expect(steps == [0, 1, 2])
    #expect(try staying.pictures().map(\.png) == expected.map(\.png))
  }

  /// Jobs that make way after every piece of work become the same pictures, and tell the same.
  @Test(arguments: [1, 3]) func turnsChangeNothing(_ batch: Int) async throws {
    engine.apply(EngineLimits(batch: batch, threads: 1, pace: 1))
    var pixels = Pixels(width: 96, height: 40, filledWith: .white)
    for index in pixels.bytes.indices {
      pixels.bytes[index] = UInt8(truncatingIfNeeded: index &* 13)
    }
    let image = ImageInput(PremultipliedImage(pixels), role: .source)
    let requests = [
      request("a red apple", seed: 4, count: 4, steps: 4, previews: 2),
      request("frog", seed: 9, count: 2, steps: 4, peels: [try peel(seed: 1)]),
      request("x", seed: 1, steps: 4, images: [image]),
    ]
    let whole = requests.map { _ in JobRecord() }
    for (record, request) in zip(whole, requests) { await draw([record.job(request)]) }
    let divided = requests.map { _ in (record: JobRecord(), state: EngineState()) }
    var seconds = [0.0, 0, 0]
    var turns = 0
    while divided.contains(where: { $0.record.current.results.isEmpty }) {
      for (index, job) in divided.enumerated() where job.record.current.results.isEmpty {
        let taken = await engine.generate(
          [job.record.job(requests[index], state: job.state)], yields: { true })
        #expect(taken.count == 1 && taken[0] > 0)
        seconds[index] += taken[0]
        turns += 1
      }
      try #require(turns < 100)
    }
    for (record, job) in zip(whole, divided) {
      #expect(try job.record.pictures().map(\.png) == record.pictures().map(\.png))
      #expect(try job.record.pictures().map(\.seed) == record.pictures().map(\.seed))
      #expect(job.record.current.previews.map(\.png) == record.current.previews.map(\.png))
      #expect(job.state.content == nil)
    }
    // Steps and ends, each a turn of its own.
    let passes = batch == 1 ? [4, 2, 1] : [2, 1, 1]
    #expect(turns >= passes.reduce(0) { $0 + 4 * $1 } + 7)
    let all = try divided.map { try $0.record.current.results[0].get().secondsByStage }
    for (index, stages) in all.enumerated() {
      #expect(seconds[index] >= 0.99 * stages.values.reduce(0, +))
    }
  }

  /// Whose work it is, pays: what a job took is told for each, and the whole turn is told.
  @Test func tellsWhatEachJobTook() async throws {
    engine.apply(EngineLimits(batch: 4, threads: 1, pace: 1))
    let (small, large) = (JobRecord(), JobRecord())
    let seconds = await draw([
      small.job(request("frog", seed: 2, steps: 6)),
      large.job(request("frog", seed: 2, count: 3, steps: 6)),
    ])
    #expect(seconds.count == 2 && seconds[0] > 0 && seconds[1] > seconds[0])
    for (record, seconds) in zip([small, large], seconds) {
      let stages = try #require(try record.current.results.first?.get()).secondsByStage
      #expect(seconds >= 0.99 * stages.values.reduce(0, +))
    }
  }

  @Test func previewsComeInBetween() async throws {
    let record = JobRecord()
    await draw([
      record.job(request("frog", seed: 2, count: 2, steps: 8, previews: 3))
    ])
    let previews = record.current.previews
    #expect(previews.filter { $0.picture == 0 }.map(\.index) == [0, 1, 2])
    #expect(previews.filter { $0.picture == 1 }.map(\.index) == [0, 1, 2])
    for preview in previews {
      let pixels = try PNG.decode(preview.png)
      #expect(pixels.width == 32 && pixels.height == 32)
      #expect(PNG.texts(in: preview.png).map(\.keyword) == ["XML:com.adobe.xmp"])
    }
    #expect(try record.pictures().count == 2)
    let short = JobRecord()
    await draw([short.job(request("frog", seed: 2, steps: 2, previews: 3))])
    #expect(short.current.previews.map(\.index) == [0])
  }

  @Test func progressGoesThroughTheStages() async throws {
    let record = JobRecord()
    await draw([record.job(request("frog", seed: 2, steps: 2))])
    let seen = record.current.progress.map { "\($0.stage) \($0.step)/\($0.steps)" }
    #expect(
      seen == [
        "text 0/1", "text 1/1", "denoise 0/2", "denoise 1/2", "denoise 2/2", "decode 0/1",
        "decode 1/1", "encode 0/1", "encode 1/1",
      ])
    let result = try #require(try record.current.results.first?.get())
    #expect(PictureStage.allCases.allSatisfy { (result.secondsByStage[$0] ?? 0) > 0 })
  }

  @Test func whatCannotBeDrawnIsRefusedAlone() async throws {
    let (bad, good) = (JobRecord(), JobRecord())
    var unknown = request("frog", seed: 2)
    unknown.style = "cubist"
    await draw([bad.job(unknown), good.job(request("frog", seed: 2))])
    do {
      _ = try bad.pictures()
      Issue.record("it was drawn")
    } catch EngineError.generation(.unknownStyle(let style, _)) { #expect(style == "cubist") }
    #expect(try good.pictures().count == 1)
  }

  @Test func picturesSayWhereTheyComeFrom() async throws {
    let use = try peel(seed: 1)
    let marked = try await draw(request("a frög", seed: 7, peels: [use]))[0].png
    let texts = Dictionary(
      uniqueKeysWithValues: PNG.texts(in: marked).map { ($0.keyword, $0.text) })
    #expect(texts["prompt"] == "a frög" && texts["seed"] == "7" && texts["steps"] == "3")
    #expect(texts["model"] == "\(engine.model.name) \(engine.model.version)")
    #expect(texts["peels"] == "wavy:0.5 sha256=\(use.sha256)")
    #expect(texts["Software"] == "Banana")
    #expect(texts["sampler"] == nil && texts["spacing"] == nil && texts["negative_prompt"] == nil)
    var chosen = request("a frög", seed: 7)
    (chosen.sampler, chosen.negativePrompt, chosen.clipSkip) = (.dpmSolver, "hats", 1)
    let others = Dictionary(
      uniqueKeysWithValues: PNG.texts(in: try await draw(chosen)[0].png).map {
        ($0.keyword, $0.text)
      })
    #expect(others["sampler"] == "dpmpp_2m" && others["negative_prompt"] == "hats")
    #expect(texts["clip_skip"] == nil && others["clip_skip"] == "1")
    let xmp = try #require(texts["XML:com.adobe.xmp"])
    #expect(xmp.contains("Iptc4xmpExt:DigitalSourceType"))
    #expect(xmp.contains("newscodes/digitalsourcetype/trainedAlgorithmicMedia"))
    _ = try XMLCheck.parse(xmp)
    let bare = try await draw(request("a frög", seed: 7, peels: [use], marksProvenance: false))
    #expect(PNG.texts(in: bare[0].png).map(\.keyword) == ["XML:com.adobe.xmp"])
    #expect(try PNG.decode(bare[0].png) == PNG.decode(marked))
  }

  @Test func peelsChangeThePictureAndTheKey() async throws {
    let use = try peel(seed: 1)
    let plain = try await draw(request("frog", seed: 2))
    let peeled = try await draw(request("frog", seed: 2, peels: [use]))
    #expect(try PNG.decode(plain[0].png) != PNG.decode(peeled[0].png))
    #expect(
      engine.batchKey(for: request("frog", seed: 2))
        != engine.batchKey(for: request("frog", seed: 2, peels: [use])))
    try engine.prepare(use.peel) { true }
    #expect(
      try await draw(request("frog", seed: 2)).map(\.png) == plain.map(\.png))
  }

  /// Numbers that overflow are told of, and harm nobody after them.
  @Test(arguments: [Float(3e38), 1e20, -1e30]) func overflowIsTold(_ value: Float) async throws {
    let before = try await draw(request("frog", seed: 2)).map(\.png)
    let record = JobRecord()
    let use = try peel(of: Array(repeating: value, count: 64))
    #expect(!use.peel.file.warnings.isEmpty)
    let wild = record.job(request("frog", seed: 2, count: 2, previews: 1, peels: [use]))
    _ = await engine.generate([wild]) { false }
    let result = try #require(try record.current.results.first?.get())
    #expect(result.overflowed == [0, 1] && result.pictures.count == 2)
    #expect(try await draw(request("frog", seed: 2)).map(\.png) == before)
    let sound = JobRecord()
    let tame = sound.job(request("frog", seed: 2, peels: [try peel(seed: 1)]))
    _ = await engine.generate([tame]) { false }
    #expect(try sound.current.results.first?.get().overflowed == [])
  }

  @Test func editsKeepWhatTheMaskKeeps() async throws {
    var pixels = Pixels(width: 64, height: 64, filledWith: .white)
    for index in pixels.bytes.indices where index % 4 < 3 {
      pixels.bytes[index] = UInt8(truncatingIfNeeded: index &* 13)
    }
    var mask = Pixels(width: 64, height: 64, filledWith: .white)
    for index in 0..<64 * 32 * 4 { mask.bytes[index] = 0 }
    let images = [
      ImageInput(PremultipliedImage(pixels), role: .source),
      ImageInput(PremultipliedImage(mask), role: .mask),
    ]
    let picture = try PNG.decode(
      try await draw(request("frog", seed: 2, images: images, strength: 0.8))[0].png)
    #expect(picture.bytes[(64 * 32 * 4)...] == pixels.bytes[(64 * 32 * 4)...])
    #expect(picture.bytes[..<(64 * 32 * 4)] != pixels.bytes[..<(64 * 32 * 4)])
  }

  @Test func memoryIsToldAndGivenBack() async throws {
    let key = engine.batchKey(for: request("frog", seed: 2))
    let four = await engine.peakBytes(for: key, pictures: 4)
    #expect(four > (await engine.peakBytes(for: key, pictures: 1)))
    let before = try await draw(request("frog", seed: 2)).map(\.png)
    #expect(engine.residentBytes > 0)
    await engine.release(.idlePlans)
    #expect(engine.residentBytes > 0)
    let warm = await engine.peakBytes(for: key, pictures: 1)
    await engine.release(.everything)
    #expect(engine.residentBytes == 0)
    #expect((await engine.peakBytes(for: key, pictures: 1)) > warm)
    #expect(try await draw(request("frog", seed: 2)).map(\.png) == before)
  }
}
