package import BananaAPI

extension APIError {
  /// The one place that turns what the scheduler and the engine throw into the API's errors.
  package init(_ error: JobError) {
    switch error {
    case .busy(let waitingJobs, let retryAfterSeconds):
      self.init(
        .busy,
        "\(waitingJobs) jobs are waiting and there is no room for another. Try again in "
          + "\(retryAfterSeconds) s.", retryAfterSeconds: retryAfterSeconds)
    case .shuttingDown:
      self.init(.shuttingDown, "bananad is stopping. Try again when it is back.")
    case .engine(let error):
      self.init(error)
    }
  }

  package init(_ error: EngineError) {
    switch error {
    case .cancelled:
      self.init(.cancelled, "The job was cancelled.")
    case .invalidRequest(let param, let message):
      self.init(.invalidRequest, message, param: param)
    case .insufficientMemory(let neededBytes, let availableBytes):
      self.init(
        .insufficientMemory,
        "The picture needs \(neededBytes) bytes of memory and \(availableBytes) are free. Ask for "
          + "a smaller size or fewer pictures, or try again later.")
    case .failed(let message):
      self.init(.internalError, message)
    }
  }
}
