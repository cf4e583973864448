import Synchronization

/// Whether the engine draws, and when it last got ahead. Whoever runs jobs tells it; watchdog and
/// memory governor look.
package final class EngineActivity: Sendable {
  private struct State {
    var running = 0
    /// The last beginning, step or end.
    var lastAdvance: ContinuousClock.Instant
  }

  private let state: Mutex<State>

  package init(at now: ContinuousClock.Instant = .now) {
    state = Mutex(State(lastAdvance: now))
  }

  /// Jobs are handed to the engine.
  package func begin(at now: ContinuousClock.Instant = .now) {
    state.withLock {
      $0.running += 1
      $0.lastAdvance = now
    }
  }

  /// A step of a job is done.
  package func advance(at now: ContinuousClock.Instant = .now) {
    state.withLock { $0.lastAdvance = now }
  }

  /// The engine has returned.
  package func end(at now: ContinuousClock.Instant = .now) {
    state.withLock {
      precondition($0.running > 0, "the engine ended more often than it began")
      $0.running -= 1
      $0.lastAdvance = now
    }
  }

  package var isIdle: Bool { state.withLock { $0.running == 0 } }

  /// How long nothing has been drawn; nil while something is.
  package func idleDuration(at now: ContinuousClock.Instant) -> Duration? {
    state.withLock { $0.running == 0 ? now - $0.lastAdvance : nil }
  }

  /// How long the running jobs have not got ahead; nil while the engine is idle.
  package func stallDuration(at now: ContinuousClock.Instant) -> Duration? {
    state.withLock { $0.running > 0 ? now - $0.lastAdvance : nil }
  }
}
