import Synchronization

/// The limits of the moment on their way to the engine that draws.
final class EngineThrottle: Sendable {
  private struct State {
    var limits: EngineLimits
    var engine: (any PictureEngine)?
    /// Pictures that a pass may have for their memory.
    var admittedBatch = Int.max
    /// Whether the limits were below the full ones since the batch began.
    var wasLimited = false
  }

  /// What the engine may use while nothing is too hot.
  private let full: EngineLimits
  private let state: Mutex<State>

  init(full: EngineLimits) {
    self.full = full
    state = Mutex(State(limits: full))
  }

  var limits: EngineLimits { state.withLock { $0.limits } }

  /// Pictures that a pass may have.
  var batch: Int { state.withLock { min($0.limits.batch, $0.admittedBatch) } }

  var wasLimited: Bool { state.withLock { $0.wasLimited } }

  /// Sets new limits; any thread may call it.
  func apply(_ limits: EngineLimits) {
    state.withLock { state in
      state.limits = limits
      state.wasLimited = state.wasLimited || isBelowFull(limits)
      Self.pass(state)
    }
  }

  /// Begins to throttle an engine.
  func begin(_ engine: any PictureEngine, admittedBatch: Int) {
    state.withLock { state in
      state.engine = engine
      state.admittedBatch = admittedBatch
      state.wasLimited = isBelowFull(state.limits)
      Self.pass(state)
    }
  }

  /// The engine has done what it was to do.
  func end() {
    state.withLock { $0.engine = nil }
  }

  private func isBelowFull(_ limits: EngineLimits) -> Bool {
    limits.batch < full.batch || limits.threads < full.threads || limits.pace < full.pace
  }

  private static func pass(_ state: State) {
    guard let engine = state.engine else { return }
    var limits = state.limits
    limits.batch = min(limits.batch, state.admittedBatch)
    engine.apply(limits)
  }
}
