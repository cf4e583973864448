package import BananaAPI

/// A request that the scheduler took in; its events end with `.finished` or `.failed`.
///
/// When the reader of the events goes away before the end, the job is cancelled.
package struct Job: Sendable {
  /// Counts up from 1 over the daemon's life.
  package typealias ID = Int

  package let id: ID
  package let events: AsyncStream<JobEvent>
}

/// What happens to a job, in order.
package enum JobEvent: Sendable {
  /// So many jobs are drawn before this one.
  case waiting(jobsAhead: Int)
  case progress(GenerationProgress)
  /// The pictures, after `queueSeconds` of waiting.
  case finished(PictureResult, queueSeconds: Double)
  case failed(JobError)
}

/// Why a job was not taken in or did not end with pictures.
package enum JobError: Error, Sendable, Equatable {
  /// As many jobs wait as may wait.
  case busy(waitingJobs: Int, retryAfterSeconds: Int)
  case shuttingDown
  case engine(EngineError)
}
