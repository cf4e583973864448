package import BananaAPI

/// Other names by which requests may ask for models: front ends often know only the names of
/// another provider's.
package struct ModelAliases: Sendable, Equatable {
  /// The model that each alias stands for.
  package var models: [String: String]

  package init(_ models: [String: String] = [:]) {
    self.models = models
  }

  /// The name of the model that a request's `model` stands for.
  package func model(named name: String) -> String { models[name] ?? name }

  /// The aliases of a model, sorted.
  package func names(for model: String) -> [String] {
    models.filter { $0.value == model }.keys.sorted()
  }

  /// The error for a name that stands for nothing.
  package func notInstalled(_ name: String, installed: [String]) -> APIError {
    let known = installed + installed.flatMap(names)
    return APIError(
      .modelNotFound,
      "The model \"\(name.prefix(64))\" is not installed. Installed: "
        + (known.isEmpty ? "none" : known.joined(separator: ", "))
        + ". The setting model_aliases can make it another name for one of them.", param: "model")
  }

  /// An alias of a model that is not there, or that hides one that is; nil when all is well.
  package func fault(installed: [String]) -> SettingsError.AliasFault? {
    for (alias, model) in models.sorted(by: { $0.key < $1.key }) {
      if installed.contains(alias) { return .hidesModel(alias: alias) }
      if !installed.contains(model) {
        return .standsForNothing(alias: alias, model: model, installed: installed)
      }
    }
    return nil
  }
}
