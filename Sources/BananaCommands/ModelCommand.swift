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
    let millions = Double(model.parameterCount / 100_000) / 10
    var lines = [
      "\(model.id) \(model.version)  \(model.status.rawValue)",
      "  \(model.description)",
      "  \(millions) M parameters, \(model.weightBytes >> 20) MiB of weights, "
        + "\(model.peakBytes >> 20) MiB more while drawing",
      "  sizes \(model.sizes.joined(separator: ", ")); \(model.defaultSteps) steps, "
        + "guidance \(model.defaultGuidance)",
    ]
    if !model.styles.isEmpty {
      let styles = model.styles.map { $0 == model.defaultStyle ? "\($0) (default)" : $0 }
      lines.append("  styles \(styles.joined(separator: ", "))")
    }
    return lines.joined(separator: "\n")
  }
}
