import ArgumentParser
import BananaAPI
import BananaSDK

/// `banana model …`.
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Shows the models.", subcommands: [ModelListCommand.self])
}

/// `banana model list`.
struct ModelListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists the models that the daemon serves.")

  @Flag(help: "Print the list as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    try await reportingFailures {
      let client = BananaClient(socketPath: connection.socket)
      let models = try await client.models()
      if json {
        print(try JSONText.encode(models))
      } else if models.isEmpty {
        let reason = try await client.status().model.reason ?? "none is installed"
        throw Failure(code: .unavailable, message: "There is no model: \(reason)")
      } else {
        print(models.map(Self.text).joined(separator: "\n\n"))
      }
    }
  }

  /// A few lines on one model.
  static func text(_ model: ModelInfo) -> String {
    if let name = model.aliasOf { return "\(model.id)  another name for \(name)" }
    let progress = model.progress.map { " \(Int($0 * 100)) %" } ?? ""
    let words =
      [model.status.rawValue, model.state.map { $0.rawValue + progress }]
      + [model.isDefault == true ? "the default" : nil]
    var lines = [
      [model.id, model.version].filter { !$0.isEmpty }.joined(separator: " ") + "  "
        + words.compactMap(\.self).joined(separator: ", ")
    ]
    if !model.description.isEmpty { lines.append("  " + model.description) }
    if let reason = model.reason { lines.append("  " + reason) }
    var facts: [String] = []
    if let count = model.parameterCount {
      facts.append("\(Double(count / 100_000) / 10) M parameters")
    }
    if model.weightBytes > 0 { facts.append("\(model.weightBytes >> 20) MiB of weights") }
    if let bytes = model.peakBytes { facts.append("\(bytes >> 20) MiB more while drawing") }
    if !facts.isEmpty { lines.append("  " + facts.joined(separator: ", ")) }
    if let steps = model.defaultSteps, let guidance = model.defaultGuidance {
      lines.append(
        "  sizes \(model.sizes.joined(separator: ", ")); \(steps) steps, guidance \(guidance)")
    }
    if !model.styles.isEmpty {
      let styles = model.styles.map { $0 == model.defaultStyle ? "\($0) (default)" : $0 }
      lines.append("  styles \(styles.joined(separator: ", "))")
    }
    return lines.joined(separator: "\n")
  }
}
