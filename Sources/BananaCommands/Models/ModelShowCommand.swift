import ArgumentParser
import BananaAPI
import BananaSDK
import ModelImport

/// `banana model show NAME`.
struct ModelShowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows what is known of a model: by the daemon, and in its folder.")

  @Argument(help: "Its name.")
  var name: String

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    try await reportingFailures {
      let stored = ModelFolders.ofProcess.storedModels.first { $0.name == name }
      let served: ModelInfo?
      do {
        served = try await BananaClient(socketPath: connection.socket).models()
          .first { $0.id == name }
      } catch BananaError.daemonNotRunning where connection.socket == nil {
        served = nil
      }
      let parts = [served.map(ModelText.text), stored.map(Self.text)].compactMap(\.self)
      if parts.isEmpty {
        throw Failure(
          code: .usage, message: "There is no model \"\(name)\". See: banana model list")
      }
      print(parts.joined(separator: "\n\n"))
    }
  }

  /// What its folder tells.
  static func text(_ model: StoredModel) -> String {
    var lines = [ModelText.text(model)]
    lines += model.licenses.map { "  " + $0.printable }
    for (name, bytes) in model.files {
      lines.append("  \(name.printable)  \(ModelText.size(bytes))")
    }
    return lines.joined(separator: "\n")
  }
}
