package import BananaServer
import Synchronization

/// An engine that draws nothing: it takes its time, notes what it is asked, and does as it is told.
package final class FakeEngine: PictureEngine {
  package struct Record: Sendable {
    package var requests: [PictureRequest] = []
    package var finished = 0
    package var cancelled = 0
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
  private let state = Mutex(Record())

  /// - Parameters:
  ///   - stepDuration: How long each denoising step takes.
  ///   - isHeld: Jobs stay in their first step until `release()`.
  ///   - drawsPixels: Whole PNG files of the size that was asked for, instead of a few bytes.
  ///   - failure: Thrown after the first step.
  ///   - isTruncating: Says that the prompt was cut.
  package init(
    stepDuration: Duration = .zero, isHeld: Bool = false, drawsPixels: Bool = false,
    failure: EngineError? = nil,
    isTruncating: Bool = false
  ) {
    self.stepDuration = stepDuration
    self.drawsPixels = drawsPixels
    self.failure = failure
    self.isTruncating = isTruncating
    state.withLock { $0.isHeld = isHeld }
  }

  /// Lets held jobs go on.
  package func release() {
    state.withLock { $0.isHeld = false }
  }

  package var record: Record { state.withLock { $0 } }

  package func generate(
    _ request: PictureRequest, progress: @escaping @Sendable (PictureProgress) -> Void
  ) async throws(EngineError) -> PictureResult {
    state.withLock { $0.requests.append(request) }
    progress(PictureProgress(stage: .text, step: 1, steps: 1, pictures: request.count))
    var pictures: [PictureResult.Picture] = []
    for picture in 0..<request.count {
      let seed = request.seed &+ UInt64(picture)
      try await denoise(request, picture, progress)
      let png =
        drawsPixels
        ? TestPattern.png(request, seed: seed)
        : TestPattern.signature + withUnsafeBytes(of: seed.littleEndian, Array.init)
      pictures.append(.init(png: png, seed: seed))
    }
    state.withLock { $0.finished += 1 }
    return PictureResult(
      pictures: pictures,
      secondsByStage: [.text: 0.001, .denoise: 0.01, .decode: 0.002, .encode: 0.0005],
      promptTokensTruncated: isTruncating)
  }

  private func denoise(
    _ request: PictureRequest, _ picture: Int,
    _ progress: @Sendable (PictureProgress) -> Void
  ) async throws(EngineError) {
    let steps = request.steps ?? model.defaultSteps
    for step in 1...steps {
      if stepDuration > .zero { try? await Task.sleep(for: stepDuration) }
      while state.withLock({ $0.isHeld }), !Task.isCancelled {
        try? await Task.sleep(for: .milliseconds(1))
      }
      if Task.isCancelled {
        state.withLock { $0.cancelled += 1 }
        throw .cancelled
      }
      if let failure { throw failure }
      progress(
        PictureProgress(
          stage: .denoise, step: step, steps: steps, picture: picture, pictures: request.count))
    }
  }
}
