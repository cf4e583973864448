package import BananaAPI
import Synchronization

/// The latest progress of one job, with an estimate of the seconds that are left.
package final class ProgressTracker: Sendable {
  private let started: ContinuousClock.Instant
  private let job: Job.ID?
  private let current = Mutex<GenerationProgress?>(nil)

  package init(started: ContinuousClock.Instant, job: Job.ID? = nil) {
    self.started = started
    self.job = job
  }

  package var latest: GenerationProgress? {
    current.withLock { $0 }
  }

  /// Notes what the engine says; called on the engine's thread.
  package func update(_ progress: PictureProgress) -> GenerationProgress {
    let elapsed = (ContinuousClock.now - started).seconds
    let fraction = Self.fraction(of: progress)
    let estimate = fraction > 0.05 ? elapsed * (1 - fraction) / fraction : nil
    let update = GenerationProgress(
      stage: .init(progress.stage), step: progress.step, of: progress.steps,
      picture: progress.picture, pictures: progress.pictures, secondsLeft: estimate, job: job)
    current.withLock { $0 = update }
    return update
  }

  /// The share of the job's work that is done, 0...1. Most of the work is in the denoising loop;
  /// the shares of the other stages are what a small model on a CPU spends in them.
  package static func fraction(of progress: PictureProgress) -> Double {
    let within = Double(progress.step) / Double(max(progress.steps, 1))
    let stage =
      switch progress.stage {
      case .text: 0.05 * within
      case .denoise: 0.05 + 0.75 * within
      case .decode: 0.80 + 0.15 * within
      case .encode: 0.95 + 0.05 * within
      }
    return min(max((Double(progress.picture) + stage) / Double(max(progress.pictures, 1)), 0), 1)
  }
}

extension GenerationProgress.Stage {
  init(_ stage: PictureStage) {
    self =
      switch stage {
      case .text: .text
      case .denoise: .denoise
      case .decode: .decode
      case .encode: .encode
      }
  }
}
