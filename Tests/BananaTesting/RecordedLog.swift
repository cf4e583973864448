package import Logging
import Synchronization

/// What a daemon writes into its log.
package final class RecordedLog: Sendable {
  package struct Line: Sendable {
    package var level: Logger.Level
    package var message: String
    package var metadata: Logger.Metadata
  }

  private let written = Mutex<[Line]>([])

  package init() {}

  package var lines: [Line] { written.withLock { $0 } }

  package var handler: any LogHandler { Handler(log: self) }

  private struct Handler: LogHandler {
    let log: RecordedLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let line = Line(
        level: event.level, message: "\(event.message)", metadata: event.metadata ?? [:])
      log.written.withLock { $0.append(line) }
    }
  }
}
