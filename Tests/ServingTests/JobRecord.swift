import Diffusion
import Serving
import Synchronization
import Testing

/// What one job was told.
final class JobRecord: Sendable {
  struct State {
    var progress: [PictureProgress] = []
    var previews: [PicturePreview] = []
    var results: [Result<PictureResult, EngineError>] = []
    var isCancelled = false
  }

  private let state = Mutex(State())

  /// - Parameter cancelAfter: Steps of denoising after which the job is cancelled.
  func job(
    _ request: PictureRequest, state: EngineState = EngineState(), cancelAfter: Int? = nil
  ) -> PictureJob {
    PictureJob(
      request: request, state: state, isCancelled: { self.state.withLock { $0.isCancelled } },
      progress: { progress in
        self.state.withLock {
          $0.progress.append(progress)
          if progress.stage == .denoise, progress.step == cancelAfter { $0.isCancelled = true }
        }
      }, preview: { preview in self.state.withLock { $0.previews.append(preview) } },
      finish: { result in self.state.withLock { $0.results.append(result) } })
  }

  func cancel() { state.withLock { $0.isCancelled = true } }

  var current: State { state.withLock { $0 } }

  func pictures() throws -> [PictureResult.Picture] {
    let results = current.results
    try #require(results.count == 1)
    return try results[0].get().pictures
  }
}
