package import BananaAPI
package import Logging

/// The one model that the daemon keeps open, or the reason why there is none.
///
/// A model that cannot be opened does not end the daemon: requests are answered with the reason,
/// and opening is tried again when a request comes later, so that mending the files is enough.
package actor ResidentModel {
  package enum State: Sendable {
    case opening
    case available(any PictureEngine, openedAtUnixSeconds: Int)
    case unavailable(reason: String)
  }

  private let makeEngine: EngineFactory
  private let retryInterval: Duration
  private let logger: Logger
  private var opening: Task<Void, Never>?
  private var lastTry: ContinuousClock.Instant?
  package private(set) var state: State = .opening

  /// - Parameter retryInterval: Opening is tried again at most this often.
  package init(
    logger: Logger, retryInterval: Duration = .seconds(5), makeEngine: @escaping EngineFactory
  ) {
    self.logger = logger
    self.retryInterval = retryInterval
    self.makeEngine = makeEngine
  }

  /// The engine, after waiting for one that is being opened.
  /// - Throws: `APIError` with code `modelUnavailable` and the reason.
  package func engine() async throws(APIError) -> any PictureEngine {
    await open()
    switch state {
    case .available(let engine, _): return engine
    case .unavailable(let reason): throw APIError(.modelUnavailable, reason)
    case .opening: throw APIError(.modelUnavailable, "The model is being opened; try again.")
    }
  }

  /// Opens the model unless that is done, under way, or failed a moment ago.
  package func open() async {
    if case .available = state { return }
    if opening == nil {
      if let lastTry, .now - lastTry < retryInterval { return }
      opening = Task { await self.tryToOpen() }
    }
    await opening?.value
  }

  private func tryToOpen() async {
    do {
      let engine = try await makeEngine()
      state = .available(engine, openedAtUnixSeconds: UnixTime.now)
      logger.notice(
        "model is open",
        metadata: ["model": "\(engine.model.name)", "backend": "\(engine.model.backend)"])
    } catch {
      state = .unavailable(reason: "\(error)")
      logger.error("model cannot be opened", metadata: ["reason": "\(error)"])
    }
    lastTry = .now
    opening = nil
  }
}
