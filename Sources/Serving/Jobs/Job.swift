package import BananaAPI
package import Diffusion

/// A request that the scheduler took in; its events end with `.finished` or `.failed`.
///
/// When the reader of the events goes away before the end, the job is cancelled unless it is
/// stored.
package struct Job: Sendable {
  /// Random, so that it tells nothing about other users' jobs.
  package typealias ID = String

  package let id: ID
  package let events: JobEvents
}

/// What happens to a job, in order.
package enum JobEvent: Sendable {
  /// So many jobs are drawn before this one.
  case waiting(jobsAhead: Int)
  case progress(GenerationProgress)
  case preview(PicturePreview)
  case finished(ImageGenerationResponse)
  case failed(JobError)
}

/// Why a job was not taken in or did not end with pictures.
package enum JobError: Error, Sendable, Equatable {
  /// As many jobs wait as may wait.
  case busy(waitingJobs: Int, retryAfterSeconds: Int)
  case quotaExceeded(QuotaRefusal)
  case shuttingDown
  case deadlineExceeded(seconds: Double)
  /// The pictures are there, and no room for them beside what its account has not read yet.
  case unread
  case engine(EngineError)
}

/// A request for pictures on its way into the queue.
package struct Submission: Sendable {
  package var request: PictureRequest
  package var peer: Peer
  package var priority: JobPriority
  /// Counted from now on; nil is no deadline.
  package var deadlineSeconds: Double?
  /// Its answer is kept for a while, and it is drawn even when its client goes away.
  package var isStored: Bool
  /// Its client wants to know where it stands.
  package var isStreamed: Bool
  /// What its events hold until they are read; nil counts nothing.
  package var room: TransferRoom?
  /// Makes the answer of the pictures.
  package var answer: @Sendable (PictureResult, JobFacts) -> ImageGenerationResponse

  package init(
    request: PictureRequest, peer: Peer, priority: JobPriority = .normal,
    deadlineSeconds: Double? = nil, isStored: Bool = false, isStreamed: Bool = false,
    room: TransferRoom? = nil,
    answer: @escaping @Sendable (PictureResult, JobFacts) -> ImageGenerationResponse
  ) {
    self.request = request
    self.peer = peer
    self.priority = priority
    self.deadlineSeconds = deadlineSeconds
    self.isStored = isStored
    self.isStreamed = isStreamed
    self.room = room
    self.answer = answer
  }
}

/// What the scheduler knows of a job that has ended.
package struct JobFacts: Sendable {
  package var id: Job.ID
  package var queueSeconds: Double
  /// Whether heat slowed it down.
  package var isThermalLimited: Bool
}
