import Glibc

/// Where models are on a machine.
package struct ModelFolders: Sendable, Equatable {
  /// Of the one who asks: `$XDG_DATA_HOME/banana/models`, by default
  /// `~/.local/share/banana/models`; nil without a home.
  package var user: String?
  /// Of the machine, for root to write.
  package var system = "/var/lib/banana/models"
  /// With what came with Banana, and what `BANANA_MODELS` names: nothing is removed there.
  package var others: [String]

  package init(user: String?, others: [String]) {
    self.user = user
    self.others = others
  }

  /// - Parameter executable: Of this program.
  package init(environment: [String: String], executable: String?) {
    func value(_ name: String) -> String? {
      environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
    user =
      if let data = value("XDG_DATA_HOME") {
        data + "/banana/models"
      } else {
        value("HOME").map { $0 + "/.local/share/banana/models" }
      }
    others = (environment["BANANA_MODELS"] ?? "").split(separator: ":").map(String.init)
    if let shipped = Self.installed("models", nil, executable) { others.append(shipped) }
  }

  /// In the order in which they are looked through.
  package var all: [String] { [user].compactMap { $0 } + [system] + others }

  /// Every model; of several of one name, the first that can be used.
  package var models: [StoredModel] {
    var models: [String: StoredModel] = [:]
    for model in all.flatMap(StoredModel.all) {
      if models[model.name] == nil || models[model.name]?.manifest == nil && model.manifest != nil {
        models[model.name] = model
      }
    }
    return models.values.sorted { $0.name < $1.name }
  }

  /// CLIP's table of merges, which comes with Banana.
  package static func vocabulary(
    environment: [String: String], executable: String?
  ) -> String {
    let folder = installed("tokenizers", environment["BANANA_TOKENIZERS"], executable)
    return (folder ?? "tokenizers") + "/clip/merges.txt"
  }

  /// As the daemon looks for it: the variable, `../share/banana` beside the program, the folder in
  /// which one works.
  private static func installed(
    _ name: String, _ given: String?, _ executable: String?
  ) -> String? {
    if let given, !given.isEmpty { return given }
    if let executable {
      let parts = executable.split(separator: "/").dropLast(2)
      let folder = parts.reduce("") { $0 + "/" + $1 } + "/share/banana/\(name)"
      if FileFacts(folder).isFolder { return folder }
    }
    return FileFacts(name).isFolder ? name : nil
  }
}
