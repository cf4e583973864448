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
    rows += rowsOf("model", models(status))
    if let backend = status.backend { rows.append(("backend", backend)) }
    rows.append(("queue", "\(status.queueDepth) of \(status.queueCapacity)"))
    if let job = status.running {
      let progress = job.progress.map { ", \(ProgressBar.line($0))" } ?? ""
      rows.append(("drawing", "job \(job.id), \(duration(job.elapsedSeconds))\(progress)"))
    }
    rows.append(("drawn", "\(status.finishedJobs) jobs"))
    if status.identity == .shared {
      rows.append(("you", "not told from other users: no private peels, jobs or kept answers"))
    }
    rows += rowsOf("memory", memory(status.memory)) + rowsOf("heat", heat(status.thermal))
    return rows.map { $0.0 + String(repeating: " ", count: 9 - $0.0.count) + $0.1.printable }
      .joined(separator: "\n")
  }

  /// The first line has the name, those after it have none.
  private static func rowsOf(_ name: String, _ lines: [String]) -> [(String, String)] {
    lines.enumerated().map { ($0.offset == 0 ? name : "", $0.element) }
  }

  /// The default model first, a line each, and one more for why it cannot be used.
  private static func models(_ status: DaemonStatus) -> [String] {
    func lines(_ name: String, _ words: [String], _ reason: String?) -> [String] {
      [([name] + words).filter { !$0.isEmpty }.joined(separator: ", ")]
        + (reason.map { [$0] } ?? [])
    }
    let models = status.models ?? []
    let standard = models.first { $0.id == status.model.id }
    func words(_ model: DaemonStatus.InstalledModel) -> [String] {
      let progress = model.progress.map { " \(percent($0))" } ?? ""
      return [model.status.rawValue, model.state.rawValue + progress]
        + (model.isDefault && models.count > 1 ? ["the default"] : [])
    }
    var all = lines(
      status.model.id ?? "", standard.map(words) ?? [status.model.status.rawValue],
      status.model.reason)
    for model in models where model.id != status.model.id {
      all += lines(model.id, words(model), model.reason)
    }
    return all
  }

  private static func memory(_ memory: DaemonStatus.Memory) -> [String] {
    let facts = [
      memory.residentBytes.map { "bananad has \(size($0))" },
      memory.availableBytes.map { "\(size($0)) are free" },
    ]
    let line = facts.compactMap(\.self).joined(separator: ", ")
    return line.isEmpty ? [] : [line]
  }

  private static func heat(_ thermal: ThermalStatus) -> [String] {
    var lines = ["no sensor tells when the processor gets too hot"]
    if let zone = thermal.zone {
      lines = [
        "\(degrees(zone.celsius)) at \(zone.type); "
          + "the kernel slows down at \(degrees(zone.passiveCelsius))"
      ]
    }
    if thermal.isLimited {
      let limits = thermal.limits
      lines.append(
        "limited by heat to \(count(limits.batch, "picture")) at a time, "
          + "\(count(limits.threads, "thread")), \(percent(limits.pace)) pace")
    }
    if thermal.isKernelThrottling {
      let clock = thermal.clockLimit.map { " to \(percent($0)) of its clock" } ?? ""
      lines.append("the kernel slows the processor down\(clock): cool the board")
    }
    if thermal.isUnderVoltage {
      lines.append("the supply voltage is too low: use a stronger power supply")
    }
    return lines
  }

  private static func degrees(_ celsius: Double) -> String { "\(Int(celsius.rounded())) °C" }
  private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
  private static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }

  /// Mebibytes, or gibibytes with one digit behind the point.
  private static func size(_ bytes: Int) -> String {
    if bytes < 1 << 30 { return "\(bytes >> 20) MiB" }
    let tenths = bytes / ((1 << 30) / 10)
    return "\(tenths / 10).\(tenths % 10) GiB"
  }

  private static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds)
    if whole < 60 { return ProgressBar.seconds(seconds) }
    if whole < 3600 { return "\(whole / 60) min" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
