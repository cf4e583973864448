import ArgumentParser
import BananaAPI
import ModelImport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// `banana model remove NAME`.
struct ModelRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Removes a model that was imported.",
    discussion: "What is drawn with it at the moment is drawn to its end.")

  @Argument(help: "Its name.")
  var name: String

  @Option(
    name: .customLong("from"),
    help: "The folder that it was imported to with --to; default: yours, then the machine's.")
  var folder: String?

  func run() async throws {
    try await reportingFailures {
      let model = try Self.removable(name, in: folder, ModelFolders.ofProcess)
      let bytes = model.byteCount
      try model.remove()
      print("\(name) is removed; \(ModelText.size(bytes)) are free again.")
    }
  }

  /// - Throws: `Failure` for what is not there or must not be removed.
  static func removable(
    _ name: String, in folder: String?, _ folders: ModelFolders
  ) throws -> StoredModel {
    let own = folder.map { [$0] } ?? [folders.user, folders.system].compactMap(\.self)
    for folder in own {
      let models = ModelFolders.storedModels(in: folder)
      guard let model = models.first(where: { $0.name == name }) else { continue }
      if access(folder, W_OK | X_OK) != 0 {
        throw Failure(
          code: .usage,
          message: "You may not remove \(name) from \(folder), where it is for all users. "
            + "As root: banana model remove \(name)")
      }
      return model
    }
    if folders.others.flatMap(ModelFolders.storedModels).contains(where: { $0.name == name }) {
      throw Failure(
        code: .usage,
        message: "\(name) came with Banana and is not removed by itself. To draw with another, "
          + "set default_model in bananad.json.")
    }
    throw Failure(
      code: .usage,
      message: "There is no model \"\(name)\" in \(own.joined(separator: " or ")). "
        + "See: banana model list")
  }
}
