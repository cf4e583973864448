package import BananaAPI
import Diffusion
import FoundationEssentials

extension APIError {
  /// The one place that turns what the scheduler and the engine throw into the API's errors.
  package init(_ error: JobError) {
    switch error {
    case .busy(let waitingJobs, let retryAfterSeconds):
      self.init(
        .busy,
        "\(waitingJobs) jobs are waiting and there is no room for another. Try again in "
          + "\(retryAfterSeconds) s.", retryAfterSeconds: retryAfterSeconds)
    case .quotaExceeded(let refusal):
      self.init(refusal)
    case .deadlineExceeded(let seconds):
      self.init(
        .deadlineExceeded,
        "The pictures were not done within \(seconds) s. Allow more time, ask for less, or try "
          + "again when fewer jobs wait.", param: "deadline_seconds")
    case .unread:
      self.init(
        .busy,
        "The pictures are done, and there is no room to send them beside what you have not read "
          + "yet. Read the answers that are on their way; with \"store\": true they are kept "
          + "meanwhile.", retryAfterSeconds: 1)
    case .shuttingDown:
      self.init(.shuttingDown, "bananad is stopping. Try again when it is back.")
    case .engine(let error):
      self.init(error)
    }
  }

  private init(_ refusal: QuotaRefusal) {
    let used =
      switch refusal.quota {
      case .requestsPerMinute(let limit): "has sent its \(limit) requests of this minute"
      case .concurrentJobs(let limit): "has \(limit) jobs that are not done, which is its limit"
      case .queueShare(let limit): "holds \(limit) places of the queue, which is its share"
      case .pixelsPerDay(let limit): "would draw more than its \(limit) pixels a day"
      case .waitingImageBytes(let limit):
        "has edits that wait, whose images would take more than the \(limit) bytes of its share"
      }
    let end = Date(timeIntervalSince1970: Double(UnixTime.now + refusal.retryAfterSeconds))
    self.init(
      .quotaExceeded,
      "\(refusal.account) \(used). Try again in \(refusal.retryAfterSeconds) s, at "
        + "\(end.formatted(.iso8601)).", retryAfterSeconds: refusal.retryAfterSeconds)
  }

  package init(_ error: EngineError) {
    switch error {
    case .cancelled:
      self.init(.cancelled, "The job was cancelled.")
    case .generation(let error): self.init(error)
    case .file(let error): self.init(.internalError, "\(error)")
    case .insufficientMemory(let neededBytes, let availableBytes):
      self.init(
        .insufficientMemory,
        "The picture needs \(neededBytes) bytes of memory and \(availableBytes) are free. Ask for "
          + "a smaller size or fewer pictures, or try again later.")
    case .lost: self.init(.internalError, "The engine lost the job. Try again.")
    }
  }

  init(_ error: GenerationError) {
    let param = Self.param(of: error)
    let message =
      switch error {
      // Requests have names of their own for them.
      case .unknownSampler(let sampler, let known):
        GenerationError.notOffered(
          "sampler", ImageGenerationRequest.Sampler(sampler).rawValue,
          known: known.map { ImageGenerationRequest.Sampler($0).rawValue })
      default: "\(error)"
      }
    self.init(param == nil ? .internalError : .invalidRequest, message, param: param)
  }

  /// The field of a request that cannot be drawn; nil for what no field is the cause of.
  private static func param(of error: GenerationError) -> String? {
    switch error {
    case .unknownStyle: "style"
    case .unknownSize: "size"
    case .clipSkip: "clip_skip"
    case .fixedGuidance: "guidance"
    case .imageRole(.mask): "mask"
    case .imageRole: "image"
    case .unknownSampler: "sampler"
    case .unknownSpacing: "spacing"
    case .noSchedule: "strength"
    case .peel, .excessiveRank: "peels"
    case .execution, .unequalShapes: nil
    }
  }
}
