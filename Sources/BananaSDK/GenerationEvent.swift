public import BananaAPI

/// What happens to a request for pictures, in order.
public enum GenerationEvent: Sendable, Equatable {
  /// So many jobs are drawn before this one.
  case queued(jobsAhead: Int)
  /// A step is done.
  case progress(GenerationProgress)
  /// What a picture looks like so far.
  case partialImage(PartialImage)
  /// A picture is done; one of these for each.
  case completed(ImageCompleted)
}
