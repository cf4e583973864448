package import Diffusion
import Models
package import Serving
import Synchronization
package import Weights

/// An engine that draws nothing: it takes its time, notes what it is asked, and does as it is told.
package final class FakeEngine: PictureEngine {
  package struct Record: Sendable {
    /// In the order in which they were begun.
    package var requests: [PictureRequest] = []
    /// How many jobs each call of `generate` had.
    package var batches: [Int] = []
    package var finished = 0
    package var cancelled = 0
    /// Denoising steps of passes, whatever their number of pictures.
    package var steps = 0
    package var released: [ReleasableMemory] = []
    package var limits = EngineLimits(batch: 1, threads: 1, pace: 1)
    fileprivate var isHeld = false
  }

  package let model: ModelDescription
  private static let model = ModelDescription(
    name: "fake", family: "test", version: "1.2.3", description: "Draws test patterns.",
    licenses: [.init(what: "code", license: "Apache-2.0", source: "here")],
    styles: ["3d", "color", "flat"], defaultStyle: "3d",
    sizes: [
      OfferedSize(PictureSize(width: 256, height: 256), shrinking: 2),
      OfferedSize(PictureSize(width: 512, height: 512)),
    ],
    nativeSize: OfferedSize(PictureSize(width: 512, height: 512)), peakBytes: 40, defaultSteps: 4,
    defaultGuidance: 2.5, parameterCount: 12_300_000, weightBytes: 7 << 20, backend: "fake")

  private let preparing: (@Sendable () async throws -> Void)?
  private let preparingPeel: (@Sendable (OpenPeel) -> Void)?
  private let stepDuration: Duration
  private let drawsPixels: Bool
  private let failure: EngineError?
  private let isTruncating: Bool
  private let knowsNothing: Bool
  private let pictureBytes: Int
  private let cost: @Sendable (PictureRequest) -> Cost
  private let reading: @Sendable (PictureRequest) -> Void
  private let state = Mutex(Record())

  /// What it says that its work took, in seconds.
  package struct Cost: Sendable {
    /// A denoising step of one picture.
    package var step: Double
    /// The end of a picture: decoding and the like.
    package var end: Double

    package init(step: Double, end: Double = 0) {
      self.step = step
      self.end = end
    }
  }

  /// - Parameters:
  ///   - stepDuration: How long each denoising step of a pass takes.
  ///   - isHeld: Jobs stay in their first step until `release()`.
  ///   - drawsPixels: Whole PNG files of the size that was asked for, instead of a few bytes.
  ///   - failure: What jobs end with after their first step.
  ///   - isTruncating: Says that the prompt was cut.
  ///   - knowsNothing: Says that no word of the prompt is known.
  ///   - pictureBytes: What `peakBytes` says of each picture of a pass.
  ///   - name: The model's.
  ///   - preparing: What `prepare` does.
  ///   - reading: What reading a request's prompt takes, on the thread that asks for its key.
  ///   - preparingPeel: The same for a peel.
  ///   - cost: What is charged, whatever the clock says.
  package init(
    stepDuration: Duration = .zero, isHeld: Bool = false, drawsPixels: Bool = false,
    failure: EngineError? = nil, isTruncating: Bool = false, knowsNothing: Bool = false,
    pictureBytes: Int = 40, name: String = "fake",
    cost: @escaping @Sendable (PictureRequest) -> Cost = { _ in Cost(step: 1) },
    preparing: (@Sendable () async throws -> Void)? = nil,
    reading: @escaping @Sendable (PictureRequest) -> Void = { _ in },
    preparingPeel: (@Sendable (OpenPeel) -> Void)? = nil
  ) {
    var model = Self.model
    model.name = name
    self.model = model
    self.preparing = preparing
    self.preparingPeel = preparingPeel
    self.stepDuration = stepDuration
    self.drawsPixels = drawsPixels
    self.failure = failure
    self.isTruncating = isTruncating
    self.knowsNothing = knowsNothing
    self.pictureBytes = pictureBytes
    self.cost = cost
    self.reading = reading
    state.withLock { $0.isHeld = isHeld }
  }

  /// Lets held jobs go on.
  package func release() {
    state.withLock { $0.isHeld = false }
  }

  /// Jobs stay in their step again, until `release()`.
  package func hold() {
    state.withLock { $0.isHeld = true }
  }

  package var record: Record { state.withLock { $0 } }

  /// Takes every peel that names no base or this one.
  package func check(_ peel: OpenPeel) throws(PeelError) {
    guard let base = peel.file.texts.baseModelHash, base != model.name else { return }
    throw .wrongBase(model: model.name, expectedSHA256: base, actualSHA256: model.name)
  }

  package func prepare(_ peel: OpenPeel, isWanted: @Sendable () -> Bool) throws {
    try check(peel)
    preparingPeel?(peel)
  }

  package func isPrepared(_ peel: OpenPeel) -> Bool { false }

  package func batchKey(for request: PictureRequest) -> BatchKey {
    reading(request)
    return BatchKey(
      model: model.name, size: request.size, steps: steps(of: request),
      sampler: request.sampler ?? model.defaultSampler, spacing: request.spacing,
      isGuided: (request.guidance ?? model.defaultGuidance) > 1, textTokens: 16,
      peels: request.peels, editStrength: request.isEdit ? request.strength : nil)
  }

  private func steps(of request: PictureRequest) -> Int { request.steps ?? model.defaultSteps }

  package func peakBytes(for key: BatchKey, pictures: Int) -> Int { pictures * pictureBytes }

  package func prepare() async throws { try await preparing?() }

  package func apply(_ limits: EngineLimits) {
    state.withLock { $0.limits = limits }
  }

  package var residentBytes: Int { 1 << 20 }

  package func release(_ what: ReleasableMemory) {
    state.withLock { $0.released.append(what) }
  }

  package func generate(
    _ jobs: [PictureJob], yields: @Sendable () -> Bool
  ) async -> [Double] {
    let all = jobs.map { ($0.state.content as? Drawing)?.resumed(by: $0) ?? Drawing($0) }
    let new = all.filter { !$0.isBegun }
    state.withLock {
      $0.requests += new.map(\.job.request)
      $0.batches.append(jobs.count)
    }
    for drawing in new {
      drawing.isBegun = true
      drawing.job.progress(
        PictureProgress(stage: .text, step: 1, steps: 1, pictures: drawing.job.request.count))
    }
    repeat {
      var room = record.limits.batch - all.reduce(0) { $0 + ($1.isOver ? 0 : $1.inPass) }
      for drawing in all where !drawing.isOver && drawing.inPass == 0 && room > 0 {
        drawing.inPass = min(room, drawing.left)
        room -= drawing.inPass
      }
      let pass = all.filter { !$0.isOver && $0.inPass > 0 }
      if pass.isEmpty { break }
      await draw(pass)
    } while !yields()
    for drawing in all { drawing.job.state.content = drawing.isOver ? nil : drawing }
    return all.map(\.seconds)
  }

  private final class Drawing {
    var job: PictureJob
    var isBegun = false
    var pictures: [PictureResult.Picture] = []
    var inPass = 0
    /// Of the pictures in the pass.
    var step = 0
    var isOver = false
    /// Of this call.
    var seconds = 0.0
    var left: Int { job.request.count - pictures.count }

    init(_ job: PictureJob) { self.job = job }

    func resumed(by job: PictureJob) -> Drawing {
      self.job = job
      seconds = 0
      return self
    }

    func end(_ result: Result<PictureResult, EngineError>) {
      isOver = true
      job.finish(result)
    }
  }

  /// Takes `inPass` pictures of each of the jobs one step on.
  private func draw(_ pass: [Drawing]) async {
    if stepDuration > .zero { try? await Task.sleep(for: stepDuration) }
    while record.isHeld, !pass.allSatisfy({ $0.job.isCancelled() }) {
      try? await Task.sleep(for: .milliseconds(1))
    }
    state.withLock { $0.steps += 1 }
    for drawing in pass { takeStep(drawing) }
  }

  private func takeStep(_ drawing: Drawing) {
    let request = drawing.job.request
    if drawing.job.isCancelled() {
      state.withLock { $0.cancelled += 1 }
      return drawing.end(.failure(.cancelled))
    }
    if let failure { return drawing.end(.failure(failure)) }
    let steps = steps(of: request)
    drawing.step += 1
    drawing.seconds += cost(request).step * Double(drawing.inPass)
    let picture = drawing.pictures.count
    drawing.job.progress(
      PictureProgress(
        stage: .denoise, step: drawing.step, steps: steps, picture: picture,
        pictures: request.count))
    if request.previews > 0, drawing.step <= request.previews, drawing.step < steps {
      for other in picture..<picture + drawing.inPass {
        drawing.job.preview(
          PicturePreview(png: png(request, other), index: drawing.step - 1, picture: other))
      }
    }
    if drawing.step == steps { finishPass(drawing) }
  }

  private func finishPass(_ drawing: Drawing) {
    let request = drawing.job.request
    for _ in 0..<drawing.inPass {
      let picture = drawing.pictures.count
      drawing.pictures.append(
        .init(png: png(request, picture), seed: request.seed &+ UInt64(picture)))
    }
    drawing.seconds += cost(request).end * Double(drawing.inPass)
    drawing.inPass = 0
    drawing.step = 0
    guard drawing.left == 0 else { return }
    state.withLock { $0.finished += 1 }
    drawing.end(
      .success(
        PictureResult(
          pictures: drawing.pictures,
          secondsByStage: [.text: 0.001, .denoise: 0.01, .decode: 0.002, .encode: 0.0005],
          omitted: OmittedTexts(prompt: isTruncating ? "a long tail" : nil),
          isPromptUnknown: knowsNothing)))
  }

  private func png(_ request: PictureRequest, _ picture: Int) -> [UInt8] {
    let seed = request.seed &+ UInt64(picture)
    return drawsPixels
      ? TestPattern.png(request, seed: seed)
      : TestPattern.signature + withUnsafeBytes(of: seed.littleEndian, Array.init)
  }
}
