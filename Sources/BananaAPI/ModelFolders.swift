#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The folders in which models are looked for, by the daemon and by `banana model`.
package struct ModelFolders: Sendable, Equatable {
  /// Of the one who asks; nil for the system, and without a home.
  package var user: String?
  /// Of the machine, for root to write.
  package var system: String?
  /// With what came with Banana, or what somebody has named: nothing is removed there.
  package var others: [String]

  /// In the order in which they are looked through: of two models of one name, that of the first
  /// folder is taken.
  package var paths: [String] { [user, system].compactMap(\.self) + others }

  package init(user: String? = nil, system: String? = nil, others: [String]) {
    self.user = user
    self.system = system
    self.others = others
  }

  /// Those that somebody names, separated by colons.
  package init(named text: String) {
    self.init(others: Self.paths(in: text))
  }

  /// Where models are when nobody says so: the user's own, by the XDG base directory specification,
  /// those of the machine, and what `BANANA_MODELS` names, else what came with Banana.
  /// - Parameters:
  ///   - home: Nil for a user without one.
  ///   - isSystem: For root, and for what systemd runs for all: they have none of a user.
  ///   - executable: The path of the program.
  package static func standard(
    environment: [String: String], home: String?, isSystem: Bool,
    executable: String? = InstalledData.executable
  ) -> ModelFolders {
    let named = environment["BANANA_MODELS"].map(paths) ?? []
    return ModelFolders(
      user: isSystem ? nil : user(environment, home), system: "/var/lib/banana/models",
      others: named.isEmpty
        ? [InstalledData.folder("models", executable: executable), "/usr/share/banana/models"]
        : named)
  }

  private static func paths(in text: String) -> [String] {
    text.split(separator: ":").map(String.init)
  }

  private static func user(_ environment: [String: String], _ home: String?) -> String? {
    // What is not absolute does not count, says the specification.
    if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") {
      return data + "/banana/models"
    }
    guard let home, home.hasPrefix("/"), home != "/" else { return nil }
    return home + "/.local/share/banana/models"
  }

  /// The packages in a folder, or the one that it is: whatever has a `model.json`. Hidden ones are
  /// not finished.
  package static func packages(in path: String) -> [String] {
    if hasManifest(path) { return [path] }
    return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
      .filter { !$0.hasPrefix(".") }.map { "\(path)/\($0)" }.filter(hasManifest)
  }

  private static func hasManifest(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/model.json")
  }
}

extension ModelFolders: CustomStringConvertible {
  package var description: String { paths.joined(separator: " or ") }
}
