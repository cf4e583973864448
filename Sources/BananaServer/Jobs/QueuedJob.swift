import BananaAPI
import Imaging
import Synchronization

/// A job that waits or is drawn.
struct QueuedJob: Sendable {
  let id: Job.ID
  let submission: Submission
  let key: BatchKey
  let engine: any PictureEngine
  let events: AsyncStream<JobEvent>.Continuation
  let submitted: ContinuousClock.Instant
  let createdAt = UnixTime.now
  let stop = StopReason()
  /// Ends the job at its deadline.
  var timer: Task<Void, Never>?
  /// Set when it is drawn.
  var started: ContinuousClock.Instant?
  var tracker: ProgressTracker?

  var request: PictureRequest { submission.request }
  var uid: UInt32 { submission.peer.uid }
  var account: Account { submission.peer.account }

  /// What it costs: denoising steps over squares of 256 by 256 pixels.
  var work: Double {
    let squares = Double(request.width * request.height) / 65_536
    return Double(request.count * key.steps * (key.isGuided ? 2 : 1)) * squares
  }

  var pixels: Int { request.count * request.width * request.height }

  /// Bytes that it holds while it waits.
  var heldBytes: Int {
    guard let edit = request.edit else { return 0 }
    return (edit.image.rgba.count + (edit.mask?.rgba.count ?? 0)) * 16
  }

  /// What the owner is told.
  func info(state: JobInfo.State, jobsAhead: Int? = nil) -> JobInfo {
    var info = JobInfo(
      id: id, state: state, uid: uid, priority: submission.priority, createdAt: createdAt,
      size: "\(request.width)x\(request.height)", pictures: request.count, steps: key.steps,
      isStored: submission.isStored)
    info.jobsAhead = jobsAhead
    info.progress = tracker?.latest
    return info
  }

  /// Tells the client how it ended.
  func end(_ outcome: Result<ImageGenerationResponse, JobError>) {
    timer?.cancel()
    switch outcome {
    case .success(let response): events.yield(.finished(response))
    case .failure(let error): events.yield(.failed(error))
    }
    events.finish()
  }
}

/// Why a job shall stop, seen by the engine between two steps.
final class StopReason: Sendable {
  private let reason = Mutex<JobError?>(nil)

  /// The first reason stays.
  func set(_ error: JobError) {
    reason.withLock { if $0 == nil { $0 = error } }
  }

  var value: JobError? { reason.withLock { $0 } }
}
