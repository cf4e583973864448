import BananaServer
import Logging
import ServiceLifecycle
import Serving
import UnixSignals

/// Reads the settings again on SIGHUP and takes on what can change while the daemon runs.
struct ReloadService: Service {
  let daemon: Daemon
  let logger: Logger
  let logLevel: LogLevel
  let settings: Settings
  /// Reads the config file and lays the flags over it.
  let read: @Sendable () throws -> Settings

  func run() async throws {
    var settings = settings
    for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
      do {
        let new = try read()
        for name in settings.needingRestart(to: new) {
          logger.warning("a setting changes with the next start", metadata: ["setting": "\(name)"])
        }
        logLevel.value = new.logLevel
        await daemon.apply(new.daemon)
        settings = new
        logger.notice("reloaded")
      } catch {
        logger.error("not reloaded", metadata: ["reason": "\(error)"])
      }
    }
  }
}
