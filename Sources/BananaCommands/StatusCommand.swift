import ArgumentParser
import BananaAPI
import BananaSDK

/// `banana status`.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Shows what the daemon is doing.")

  @Flag(help: "Print the status as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    try await reportingFailures {
      let status = try await BananaClient(socketPath: connection.socket).status()
      print(json ? try JSONText.encode(status) : Self.text(status))
    }
  }

  /// One line a fact.
  static func text(_ status: DaemonStatus) -> String {
    var rows: [(String, String)] = [
      ("bananad", "\(status.version), pid \(status.pid), up \(duration(status.uptimeSeconds))"),
      ("socket", status.socket),
    ]
    let name = status.model.id.map { "\($0), " } ?? ""
    rows.append(("model", name + status.model.status.rawValue))
    if let reason = status.model.reason { rows.append(("", reason)) }
    if let backend = status.backend { rows.append(("backend", backend)) }
    rows.append(("queue", "\(status.queueDepth) of \(status.queueCapacity)"))
    if let job = status.running {
      let progress = job.progress.map { ", \(ProgressBar.line($0))" } ?? ""
      rows.append(("drawing", "job \(job.id), \(duration(job.elapsedSeconds))\(progress)"))
    }
    rows.append(("drawn", "\(status.finishedJobs) jobs"))
    if let bytes = status.memory.residentBytes {
      rows.append(("memory", "\(bytes >> 20) MiB resident"))
    }
    return rows.map { $0.0 + String(repeating: " ", count: 9 - $0.0.count) + $0.1 }
      .joined(separator: "\n")
  }

  private static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds)
    if whole < 60 { return ProgressBar.seconds(seconds) }
    if whole < 3600 { return "\(whole / 60) min" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
