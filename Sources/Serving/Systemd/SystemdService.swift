package import Logging
import ServiceLifecycle

/// Keeps systemd informed: ready, what the daemon does, stopping; and feeds the watchdog while the
/// engine gets ahead, so that a daemon that hangs is killed and started again.
package struct SystemdService: Service {
  /// How often the status line is looked at while it changes.
  static let statusInterval = Duration.seconds(5)
  /// And at least, while nothing happens.
  static let restInterval = Duration.seconds(30)

  private let notifier: ServiceNotifier
  private let watch: EngineWatch
  private let status: @Sendable () async -> String
  private let logger: Logger

  /// - Parameter status: One line for people, shown by `systemctl status`.
  package init(
    notifier: ServiceNotifier, watch: EngineWatch, logger: Logger,
    status: @escaping @Sendable () async -> String
  ) {
    self.notifier = notifier
    self.watch = watch
    self.logger = logger
    self.status = status
  }

  /// Runs until the service group shuts down.
  package func run() async throws {
    notifier.send("READY=1")
    try? await cancelWhenGracefulShutdown { try await self.inform() }
    notifier.send("STOPPING=1", "STATUS=Finishing the running job.")
  }

  private func inform() async throws {
    // A third of the watchdog's time, so that one late turn is not the end.
    let feedInterval = notifier.watchdogInterval.map { $0 / 3 } ?? Self.restInterval
    var shown = ""
    var wasAlive = true
    while true {
      let isAlive = watch.isAlive()
      if isAlive, notifier.watchdogInterval != nil { notifier.send("WATCHDOG=1") }
      if wasAlive, !isAlive {
        logger.critical("the engine hangs, so the watchdog is not fed and will end this process")
      }
      wasAlive = isAlive
      let text = isAlive ? await status() : "The engine hangs."
      if text != shown { notifier.send("STATUS=\(line(text))") }
      // An idle board should sleep.
      let longest = text == shown ? Self.restInterval : Self.statusInterval
      shown = text
      try await Task.sleep(for: min(feedInterval, longest))
    }
  }

  /// A line break would begin another assignment.
  private func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}
