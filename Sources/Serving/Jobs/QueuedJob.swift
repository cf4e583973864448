import BananaAPI
import Diffusion
import Imaging
import Models
import Synchronization

/// A job that waits or is drawn.
struct QueuedJob: Sendable {
  let id: Job.ID
  let submission: Submission
  let key: BatchKey
  /// Keeps its model open.
  let lease: ModelLease
  let events: JobMailbox
  let submitted: ContinuousClock.Instant
  let createdAt = UnixTime.now
  let stop = StopReason()
  /// What the engine keeps of it between two turns.
  let engineState = EngineState()
  /// Ends the job at its deadline.
  var timer: Task<Void, Never>?
  /// Since when it waits, or did before its turn.
  var queued: ContinuousClock.Instant
  /// Set in its first turn.
  var started: ContinuousClock.Instant?
  var tracker: ProgressTracker?
  /// How long it waited for its turns.
  var queueSeconds = 0.0
  /// Whether heat slowed one of its turns down.
  var isThermalLimited = false

  init(
    id: String, submission: Submission, key: BatchKey, lease: ModelLease,
    events: JobMailbox, submitted: ContinuousClock.Instant
  ) {
    self.id = id
    self.submission = submission
    self.key = key
    self.lease = lease
    self.events = events
    self.submitted = submitted
    queued = submitted
  }

  /// Notes that its turn begins.
  mutating func begin(at now: ContinuousClock.Instant) {
    queueSeconds += (now - queued).seconds
    if started != nil { return }
    started = now
    tracker = ProgressTracker(started: now, job: id)
  }

  var engine: any PictureEngine { lease.engine }
  var request: PictureRequest { submission.request }
  var uid: UInt32 { submission.peer.uid }
  var account: Account { submission.peer.account }

  /// What it may cost: denoising steps over squares of 256 by 256 pixels. What it does cost is
  /// measured.
  var work: Double {
    let squares = Double(request.size.width * request.size.height) / 65_536
    return Double(request.count * key.steps * (key.isGuided ? 2 : 1)) * squares
  }

  var pixels: Int { request.count * request.size.width * request.size.height }

  /// Bytes of images that it holds while it waits.
  var heldBytes: Int { request.images.reduce(0) { $0 + $1.byteCount } }

  /// What the owner is told.
  func info(state: JobInfo.State, jobsAhead: Int? = nil) -> JobInfo {
    var info = JobInfo(
      id: id, state: state, uid: uid, priority: submission.priority, createdAt: createdAt,
      size: "\(request.size)", pictures: request.count, steps: key.steps,
      isStored: submission.isStored)
    info.jobsAhead = jobsAhead
    info.progress = tracker?.latest
    return info
  }

  /// Tells the client how it ended.
  func end(_ outcome: Result<ImageGenerationResponse, JobError>) {
    timer?.cancel()
    events.end(outcome)
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
