/// The closed list of reasons for which bananad refuses or fails a request.
public enum ErrorCode: String, Sendable, CaseIterable {
  /// A field is unknown, missing, of a wrong type or out of range; `param` names it.
  case invalidRequest = "invalid_request"
  /// The body or the prompt is longer than the daemon accepts.
  case requestTooLarge = "request_too_large"
  /// The named model is not installed.
  case modelNotFound = "model_not_found"
  /// A page in a browser, or a host's name that is none of this machine.
  case forbidden
  /// The request did not arrive in time.
  case requestTimeout = "request_timeout"
  /// The body's Content-Type or coding is none that the path takes.
  case unsupportedMediaType = "unsupported_media_type"
  /// No peel of that name is installed for this user.
  case peelNotFound = "peel_not_found"
  /// The peel's file is damaged, or was not made for this model; the message says which.
  case peelInvalid = "peel_invalid"
  /// The job is not this user's, was never there, or its result is no longer kept.
  case jobNotFound = "job_not_found"
  /// The path is no route of this API.
  case notFound = "not_found"
  /// The route exists but not with this method.
  case methodNotAllowed = "method_not_allowed"
  /// The model could not be opened; the message says why and what to do.
  case modelUnavailable = "model_unavailable"
  /// The queue is full.
  case busy
  /// The peer has used up its share.
  case quotaExceeded = "quota_exceeded"
  /// The job was cancelled before it was done.
  case cancelled
  /// The job was not done within its `deadline_seconds`.
  case deadlineExceeded = "deadline_exceeded"
  /// The job's peak memory does not fit into what is free.
  case insufficientMemory = "insufficient_memory"
  /// A file could not be written for want of space.
  case notEnoughDiskSpace = "not_enough_disk_space"
  /// The daemon is stopping.
  case shuttingDown = "shutting_down"
  /// A failure inside the daemon.
  case internalError = "internal_error"

  /// Whether sending the same request again can succeed.
  public enum Retry: Sendable, Equatable {
    /// Another try cannot help.
    case never
    /// Worth another try after this many seconds, unless the answer's Retry-After says otherwise.
    case after(seconds: Int)
  }

  /// The status of the HTTP answer.
  public var httpStatus: Int {
    switch self {
    case .invalidRequest: 400
    case .forbidden: 403
    case .requestTimeout: 408
    case .unsupportedMediaType: 415
    case .requestTooLarge: 413
    case .modelNotFound, .peelNotFound, .jobNotFound, .notFound: 404
    case .methodNotAllowed: 405
    case .peelInvalid: 422
    case .quotaExceeded: 429
    case .cancelled: 499
    case .modelUnavailable, .busy, .insufficientMemory, .shuttingDown: 503
    case .deadlineExceeded: 504
    case .notEnoughDiskSpace: 507
    case .internalError: 500
    }
  }

  /// Whether and when to try again.
  public var retry: Retry {
    switch self {
    case .busy: .after(seconds: 5)
    case .quotaExceeded: .after(seconds: 60)
    case .insufficientMemory: .after(seconds: 30)
    case .shuttingDown: .after(seconds: 5)
    case .deadlineExceeded: .after(seconds: 5)
    case .requestTimeout: .after(seconds: 1)
    case .forbidden, .unsupportedMediaType, .modelUnavailable, .invalidRequest, .requestTooLarge,
      .modelNotFound, .peelNotFound, .peelInvalid, .jobNotFound, .notFound, .methodNotAllowed,
      .cancelled, .notEnoughDiskSpace, .internalError:
      .never
    }
  }

  /// The coarse class of the error, in the words of OpenAI's API.
  public var type: String {
    switch self {
    case .invalidRequest, .requestTooLarge, .modelNotFound, .peelNotFound, .peelInvalid,
      .jobNotFound, .notFound, .methodNotAllowed, .forbidden, .requestTimeout,
      .unsupportedMediaType:
      "invalid_request_error"
    case .busy, .quotaExceeded: "rate_limit_error"
    case .modelUnavailable, .cancelled, .deadlineExceeded, .insufficientMemory,
      .notEnoughDiskSpace, .shuttingDown, .internalError:
      "server_error"
    }
  }
}
