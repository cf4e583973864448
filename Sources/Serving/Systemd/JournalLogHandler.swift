private import CSystemd
package import Logging

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Writes to the journal, where each piece of metadata is a field of its own that `journalctl` can
/// search: `JOB_ID`, `MODEL` and `UID`, and `BANANA_…` for the rest (`sd_journal_send(3)`).
package struct JournalLogHandler: LogHandler {
  private static let wellKnown = ["job": "JOB_ID", "model": "MODEL", "uid": "UID"]

  package var logLevel = Logger.Level.trace
  package var metadata: Logger.Metadata = [:]
  private let label: String

  package init(label: String) {
    self.label = label
  }

  /// Whether standard error leads to the journal.
  package static var isConnected: Bool { banana_sd_is_journal() != 0 }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    let entry = fields(of: event).map(\.utf8)
    // A journal that is gone is nothing that the daemon could mend.
    _ = banana_sd_journal_send(
      Array(entry.joined()), entry.map(\.count), Int32(entry.count))
  }

  /// The entry, a `NAME=value` each.
  package func fields(of event: LogEvent) -> [String] {
    let facts = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let text = facts.map { " \($0.key)=\($0.value)" }.joined()
    return [
      "MESSAGE=\(event.message)\(text)", "PRIORITY=\(Self.priority(event.level))",
      "SYSLOG_IDENTIFIER=\(label)",
    ] + facts.map { "\(Self.name($0.key))=\($0.value)" }
  }

  private static func name(_ key: String) -> String {
    let isPlain = { (byte: UInt8) in 0x30...0x39 ~= byte || 0x41...0x5A ~= byte }
    return wellKnown[key]
      ?? "BANANA_"
      + String(
        decoding: key.uppercased().utf8.map { isPlain($0) ? $0 : UInt8(ascii: "_") },
        as: UTF8.self)
  }

  /// As syslog(3) counts.
  private static func priority(_ level: Logger.Level) -> Int32 {
    switch level {
    case .trace, .debug: LOG_DEBUG
    case .info: LOG_INFO
    case .notice: LOG_NOTICE
    case .warning: LOG_WARNING
    case .error: LOG_ERR
    case .critical: LOG_CRIT
    }
  }
}
