import Synchronization

/// Tells an engine that works or rests from one that hangs: a running job must finish a step within
/// a limit, and an idle engine's thread must answer within it.
package final class EngineWatch: Sendable {
  private struct State {
    var engine: (any Actor)?
    /// When the question that is still open was asked.
    var asked: ContinuousClock.Instant?
  }

  private let activity: EngineActivity
  private let limit: Duration
  private let state = Mutex(State())

  /// - Parameter limit: The longest that one step may take, on the slowest board when it is hot.
  package init(activity: EngineActivity, limit: Duration = .seconds(300)) {
    self.activity = activity
    self.limit = limit
  }

  /// Watches `engine`, whose executor is the engines' thread, from here on; nil is none.
  package func watch(_ engine: (any Actor)?) {
    state.withLock { if $0.engine !== engine { $0 = State(engine: engine) } }
  }

  /// Whether the engine gets ahead; asks its thread when it is idle and answers from what is known.
  package func isAlive(at now: ContinuousClock.Instant = .now) -> Bool {
    if let stall = activity.stallDuration(at: now) {
      // A question would wait for the job; the next idle moment asks anew.
      return stall <= limit
    }
    let (engine, asked) = state.withLock { state in
      let asked = state.asked
      if asked == nil, state.engine != nil { state.asked = now }
      return (state.engine, asked)
    }
    guard let engine else { return true }
    if let asked {
      // A job may have come in between, for which the answer rightly waited.
      let waited = min(now - asked, activity.idleDuration(at: now) ?? .zero)
      return waited <= limit
    }
    Task.detached {
      await engine.answer()
      self.state.withLock { $0.asked = nil }
    }
    return true
  }
}

extension Actor {
  /// Comes back when the actor's executor has a moment for it.
  fileprivate func answer() {}
}
