import BananaAPI
package import FoundationEssentials
package import Logging
import Weights

/// Everything that bananad's config file and flags can set.
package struct Settings: Sendable, Equatable {
  /// Nil is the place that fits the user.
  package var socket: String?
  /// Nil is none, but for root `/run/banana/admin.sock`.
  package var adminSocket: String?
  /// Nil is the place that fits the user.
  package var stateDirectory: String?
  /// Nil is where the peels that came with Banana are.
  package var peelsDirectory: String?
  /// Nil is where models are installed.
  package var modelsDirectory: String?
  package var logLevel = Logger.Level.info
  /// Nil is one a processor.
  package var threads: Int?
  package var daemon = DaemonConfiguration()

  package init() {
    daemon.limits.batch = 4
  }

  /// Reads a config file: a JSON object whose members are `Setting.all`.
  /// - Throws: `SettingsError`.
  package init(contentsOf path: String) throws(SettingsError) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .unreadable(path: path)
    }
    try self.init(json: data, path: path)
  }

  /// Reads the content of the config file `path`.
  package init(json data: Data, path: String) throws(SettingsError) {
    do throws(JSONError) {
      try JSONScanner.check(data, limits: .init(depth: 8, values: 10_000, numberBytes: 64))
    } catch { throw .malformed(path: path, reason: error.reason, offset: error.offset) }
    guard let members = try? JSONDecoder().decode([String: Member].self, from: data) else {
      throw .notAnObject(path: path)
    }
    self.init()
    for (name, member) in members.sorted(by: { $0.key < $1.key }) {
      guard let setting = Setting.all.first(where: { $0.name == name }) else {
        if let reason = Setting.removed[name] {
          throw .removed(path: path, name: name, reason: reason)
        }
        throw .unknown(path: path, name: name, nearest: Setting.nearest(to: name))
      }
      guard let value = member.value, setting.set(&self, value) else {
        throw .wrong(path: path, name: name, expected: setting.expected)
      }
    }
  }

  /// Checks the default model and the aliases against what is installed.
  /// - Parameter installed: Names of the models that are there; without any nothing is said, which
  ///   `/readyz` does.
  /// - Throws: `SettingsError.alias` or `.defaultModel`.
  package func checkModels(installed: [String], path: String) throws(SettingsError) {
    if installed.isEmpty { return }
    if let fault = daemon.modelAliases.fault(installed: installed) {
      throw .alias(path: path, fault)
    }
    if let model = daemon.defaultModel, !installed.contains(model) {
      throw .defaultModel(path: path, model: model, installed: installed)
    }
  }

  /// A value; nil for one that nothing can hold, such as 1e999.
  private struct Member: Decodable {
    let value: JSONValue?

    init(from decoder: any Decoder) throws {
      value = try? JSONValue(from: decoder)
    }
  }

  /// The names of settings that differ and that need a restart to change.
  package func needingRestart(to other: Settings) -> [String] {
    Setting.all.filter { !$0.isReloadable && !$0.isEqual(self, other) }.map(\.name)
  }
}

/// Why a config file is refused.
package enum SettingsError: Error, Equatable {
  /// What can be wrong with an alias of a model.
  package enum AliasFault: Equatable, Sendable {
    case standsForNothing(alias: String, model: String, installed: [String])
    case hidesModel(alias: String)
  }

  case unreadable(path: String)
  case malformed(path: String, reason: String, offset: Int)
  case notAnObject(path: String)
  case unknown(path: String, name: String, nearest: String)
  case wrong(path: String, name: String, expected: String)
  case removed(path: String, name: String, reason: String)
  case defaultModel(path: String, model: String, installed: [String])
  case alias(path: String, AliasFault)
}

extension SettingsError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unreadable(let path):
      "The config file \(path) cannot be read. Check that it is there and that you may read it."
    case .malformed(let path, let reason, let offset):
      "The config file \(path) is not valid JSON: \(reason), at byte \(offset). "
        + "Write it as {\"queue_capacity\": 32, …}."
    case .notAnObject(let path):
      "The config file \(path) is no JSON object. Write it as {\"queue_capacity\": 32, …}."
    case .unknown(let path, let name, let nearest):
      "\(path): there is no setting \"\(name)\". Did you mean \"\(nearest)\"?"
    case .wrong(let path, let name, let expected):
      "\(path): \(name) must be \(expected)."
    case .removed(let path, let name, let reason):
      "\(path): the setting \(name) is gone, and nothing with it: \(reason). Remove it."
    case .defaultModel(let path, let model, let installed):
      "\(path): default_model is \"\(model)\", which is not installed. "
        + "Installed: \(installed.joined(separator: ", "))."
    case .alias(let path, .standsForNothing(let alias, let model, let installed)):
      "\(path): model_aliases gives \"\(alias)\" the model \"\(model)\", which is not installed. "
        + "Installed: \(installed.joined(separator: ", "))."
    case .alias(let path, .hidesModel(let alias)):
      "\(path): model_aliases has \"\(alias)\", which is the name of a model that is installed. "
        + "Leave that alias out."
    }
  }
}
