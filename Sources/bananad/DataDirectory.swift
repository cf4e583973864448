import BananaAPI
import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where bananad's folders are when nobody says so.
enum DataDirectory {
  /// Those that somebody names, else the standard ones.
  static func models(
    named: String?, environment: [String: String], userID: uid_t
  ) -> ModelFolders {
    if let named { return ModelFolders(named: named) }
    return .standard(
      environment: environment, home: HomeFolder.path(environment: environment, userID: userID),
      // What systemd runs for all has a state, and no user's home.
      isSystem: userID == 0 || value("STATE_DIRECTORY", in: environment) != nil)
  }

  /// `BANANA_PEELS`, else `../share/banana/peels` beside the executable, else `peels` in the
  /// working directory.
  static func peels(environment: [String: String]) -> String {
    value("BANANA_PEELS", in: environment) ?? InstalledData.folder("peels")
  }

  /// systemd's `STATE_DIRECTORY`, else `/var/lib/banana` for root, else the user's by the XDG base
  /// directory specification.
  /// - Returns: Nil for a user without a home.
  static func state(environment: [String: String], userID: uid_t) -> String? {
    if let given = value("STATE_DIRECTORY", in: environment) { return given }
    if userID == 0 { return "/var/lib/banana" }
    // What is not absolute does not count, says the specification.
    if let states = value("XDG_STATE_HOME", in: environment), states.hasPrefix("/") {
      return states + "/banana"
    }
    return HomeFolder.path(environment: environment, userID: userID).flatMap {
      $0.hasPrefix("/") ? $0 + "/.local/state/banana" : nil
    }
  }

  private static func value(_ name: String, in environment: [String: String]) -> String? {
    environment[name].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The config file in systemd's `CONFIGURATION_DIRECTORY`; nil where there is none.
  static func configFile(environment: [String: String]) -> String? {
    guard let folder = environment["CONFIGURATION_DIRECTORY"]?.split(separator: ":").first else {
      return nil
    }
    let path = "\(folder)/bananad.json"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }
}
