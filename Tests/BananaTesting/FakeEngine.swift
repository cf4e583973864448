package import BananaServer
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

  package let model = ModelDescription(
    name: "fake", family: "test", version: "1.2.3", description: "Draws test patterns.",
    licenses: [.init(what: "code", license: "Apache-2.0", source: "here")],
    styles: ["3d", "color", "flat"], defaultStyle: "3d",
    sizes: [
      .init(width: 256, height: 256, peakBytes: 10), .init(width: 512, height: 512, peakBytes: 40),
    ],
    nativeSize: .init(width: 512, height: 512, peakBytes: 40), defaultSteps: 4,
    defaultGuidance: 2.5, parameterCount: 12_300_000, weightBytes: 7 << 20, backend: "fake")

  private let stepDuration: Duration
  private let drawsPixels: Bool
  private let failure: EngineError?
  private let isTruncating: Bool
  private let pictureBytes: Int
  private let state = Mutex(Record())

  /// - Parameters:
  ///   - stepDuration: How long each denoising step of a pass takes.
  ///   - isHeld: Jobs stay in their first step until `release()`.
  ///   - drawsPixels: Whole PNG files of the size that was asked for, instead of a few bytes.
  ///   - failure: What jobs end with after their first step.
  ///   - isTruncating: Says that the prompt was cut.
  ///   - pictureBytes: What `peakBytes` says of each picture of a pass.
  package init(
    stepDuration: Duration = .zero, isHeld: Bool = false, drawsPixels: Bool = false,
    failure: EngineError? = nil, isTruncating: Bool = false, pictureBytes: Int = 40
  ) {
    self.stepDuration = stepDuration
    self.drawsPixels = drawsPixels
    self.failure = failure
    self.isTruncating = isTruncating
    self.pictureBytes = pictureBytes
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
  package func check(_ peel: PeelFile) throws(PeelError) {
    guard let base = peel.baseModelHash, base != model.name else { return }
    throw .wrongBase(model: model.name, expectedSHA256: base, actualSHA256: model.name)
  }

  package func batchKey(for request: PictureRequest) -> BatchKey {
    BatchKey(
      width: request.width, height: request.height, steps: request.steps ?? model.defaultSteps,
      isGuided: (request.guidance ?? model.defaultGuidance) > 1, textTokens: 16,
      peels: request.peels, editStrength: request.edit?.strength)
  }

  package func peakBytes(for key: BatchKey, pictures: Int) -> Int { pictures * pictureBytes }

  package func apply(_ limits: EngineLimits) {
    state.withLock { $0.limits = limits }
  }

  package var residentBytes: Int { 1 << 20 }

  package func release(_ what: ReleasableMemory) {
    state.withLock { $0.released.append(what) }
  }

  package func generate(_ jobs: [PictureJob]) async {
    state.withLock {
      $0.requests += jobs.map(\.request)
      $0.batches.append(jobs.count)
    }
    for job in jobs {
      job.progress(PictureProgress(stage: .text, step: 1, steps: 1, pictures: job.request.count))
    }
    var drawing = jobs.enumerated().map { Drawing(index: $0.offset, job: $0.element) }
    while !drawing.isEmpty {
      var room = record.limits.batch
      var pass: [Int] = []
      for index in drawing.indices where room > 0 {
        let pictures = min(room, drawing[index].left)
        drawing[index].inPass = pictures
        room -= pictures
        pass.append(index)
      }
      await draw(pass, of: &drawing)
      drawing.removeAll(where: \.isOver)
    }
  }

  private struct Drawing {
    var index: Int
    var job: PictureJob
    var pictures: [PictureResult.Picture] = []
    var inPass = 0
    var isOver = false
    var left: Int { job.request.count - pictures.count }

    mutating func end(_ result: Result<PictureResult, EngineError>) {
      isOver = true
      job.finish(result)
    }
  }

  /// Draws `inPass` pictures of each of the jobs.
  private func draw(_ pass: [Int], of drawing: inout [Drawing]) async {
    let steps = batchKey(for: drawing[pass[0]].job.request).steps
    for step in 1...steps {
      if stepDuration > .zero { try? await Task.sleep(for: stepDuration) }
      while record.isHeld, !pass.allSatisfy({ drawing[$0].job.isCancelled() }) {
        try? await Task.sleep(for: .milliseconds(1))
      }
      state.withLock { $0.steps += 1 }
      for index in pass where !drawing[index].isOver {
        takeStep(step, of: steps, &drawing[index])
      }
      if pass.allSatisfy({ drawing[$0].isOver }) { return }
    }
    for index in pass where !drawing[index].isOver { finishPass(&drawing[index]) }
  }

  private func takeStep(_ step: Int, of steps: Int, _ drawing: inout Drawing) {
    let request = drawing.job.request
    if drawing.job.isCancelled() {
      state.withLock { $0.cancelled += 1 }
      return drawing.end(.failure(.cancelled))
    }
    if let failure { return drawing.end(.failure(failure)) }
    let picture = drawing.pictures.count
    drawing.job.progress(
      PictureProgress(
        stage: .denoise, step: step, steps: steps, picture: picture, pictures: request.count))
    guard request.previews > 0, step <= request.previews, step < steps else { return }
    for other in picture..<picture + drawing.inPass {
      drawing.job.preview(PicturePreview(png: png(request, other), index: step - 1, picture: other))
    }
  }

  private func finishPass(_ drawing: inout Drawing) {
    let request = drawing.job.request
    for _ in 0..<drawing.inPass {
      let picture = drawing.pictures.count
      drawing.pictures.append(
        .init(png: png(request, picture), seed: request.seed &+ UInt64(picture)))
    }
    guard drawing.left == 0 else { return }
    state.withLock { $0.finished += 1 }
    drawing.end(
      .success(
        PictureResult(
          pictures: drawing.pictures,
          secondsByStage: [.text: 0.001, .denoise: 0.01, .decode: 0.002, .encode: 0.0005],
          promptTokensTruncated: isTruncating)))
  }

  private func png(_ request: PictureRequest, _ picture: Int) -> [UInt8] {
    let seed = request.seed &+ UInt64(picture)
    return drawsPixels
      ? TestPattern.png(request, seed: seed)
      : TestPattern.signature + withUnsafeBytes(of: seed.littleEndian, Array.init)
  }
}
