package import BananaAPI

/// Why there is no engine for a request.
package enum ModelLibraryError: Error {
  /// No folder has a package.
  case noModels(ModelFolders)
  /// The request names none, and none of several is the default.
  case noDefault(installed: [String])
  case notInstalled(name: String, installed: [String])
  /// Its package cannot be used, or it could not be opened.
  case unusable(name: String, reason: any Error)
  /// It does not fit into memory, also without the models that could be closed.
  case noRoom(name: String, neededBytes: Int, availableBytes: Int)
  /// Whoever asked has gone.
  case cancelled
  case stopping
}

extension ModelLibraryError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noModels(let folders):
      "There is no model in \(folders): no folder there has a model.json. Install a model, or "
        + "name the folder that has one with --models."
    case .noDefault(let installed):
      "There are several models (\(installed.joined(separator: ", "))) and none is the default. "
        + "Name one of them with model, or set default_model."
    case .notInstalled(let name, let installed):
      "The model \"\(name.prefix(64))\" is not installed. Installed: "
        + (installed.isEmpty ? "none" : installed.joined(separator: ", ")) + "."
    case .unusable(_, let reason): "\(reason)"
    case .noRoom(let name, let needed, let available):
      "The model \(name) needs \(needed >> 20) MiB of memory and \(max(available, 0) >> 20) MiB "
        + "are free. Stop other programs, or ask for a smaller model."
    case .cancelled: "The request was cancelled while it waited for its model."
    case .stopping: "bananad is stopping. Try again when it is back."
    }
  }
}

extension APIError {
  /// The one place that turns what the library throws into the API's errors.
  package init(_ error: ModelLibraryError, aliases: ModelAliases = .init()) {
    switch error {
    case .noModels, .unusable: self.init(.modelUnavailable, "\(error)")
    case .noDefault: self.init(.modelNotFound, "\(error)", param: "model")
    case .notInstalled(let name, let installed):
      self = aliases.notInstalled(name, installed: installed)
    case .noRoom: self.init(.insufficientMemory, "\(error)", param: "model")
    case .cancelled: self.init(.cancelled, "The job was cancelled.")
    case .stopping: self.init(.shuttingDown, "\(error)")
    }
  }
}
