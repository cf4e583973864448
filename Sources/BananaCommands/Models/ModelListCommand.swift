import ArgumentParser
import BananaAPI
import BananaSDK
import ModelImport

/// `banana model list`.
struct ModelListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Lists the models that the daemon serves; without one, those in the folders.")

  @Flag(help: "Print the list as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    try await reportingFailures {
      let client = BananaClient(socketPath: connection.socket)
      let models: [ModelInfo]
      do {
        models = try await client.models()
      } catch BananaError.daemonNotRunning where connection.socket == nil && !json {
        return printFolders(ModelFolders.ofProcess)
      }
      if json {
        print(try JSONText.encode(models))
      } else if models.isEmpty {
        let reason = try await client.status().model.reason ?? "none is installed"
        throw Failure(code: .unavailable, message: "There is no model: \(reason)")
      } else {
        print(models.map(ModelText.text).joined(separator: "\n\n"))
      }
    }
  }

  private func printFolders(_ folders: ModelFolders) {
    let models = folders.storedModels
    print(
      models.isEmpty
        ? "There is no model in \(folders). "
          + "Get one with: banana model import FILE-OR-FOLDER"
        : models.map(ModelText.text).joined(separator: "\n\n"))
    Terminal.writeError("banana: no bananad is running; these are the models in its folders.\n")
  }
}
