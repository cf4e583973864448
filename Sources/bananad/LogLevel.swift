import Logging
import Serving
import Synchronization

/// The level of all loggers, which a reload can change.
final class LogLevel: Sendable {
  private let level: Mutex<Logger.Level>

  init(_ level: Logger.Level) {
    self.level = Mutex(level)
  }

  var value: Logger.Level {
    get { level.withLock { $0 } }
    set { level.withLock { $0 = newValue } }
  }
}

/// Writes to the journal, or else to standard error, what is at least of the level of the moment.
struct AdjustableLogHandler: LogHandler {
  let level: LogLevel
  private var handler: any LogHandler

  init(label: String, level: LogLevel) {
    self.level = level
    handler =
      JournalLogHandler.isConnected
      ? JournalLogHandler(label: label) : StreamLogHandler.standardError(label: label)
    handler.logLevel = .trace
  }

  var logLevel: Logger.Level {
    get { level.value }
    set { level.value = newValue }
  }

  var metadata: Logger.Metadata {
    get { handler.metadata }
    set { handler.metadata = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { handler[metadataKey: key] }
    set { handler[metadataKey: key] = newValue }
  }

  func log(event: LogEvent) {
    handler.log(event: event)
  }
}
