import FoundationEssentials
import Serving

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where bananad's folders are when nobody says so.
enum DataDirectory {
  /// Those that somebody names, separated by colons; else the user's own, those of the system, and
  /// what came with Banana: `BANANA_MODELS`, else beside this program and in `/usr/share`.
  static func models(
    named: String?, environment: [String: String], userID: uid_t
  ) -> ModelFolders {
    func folders(_ text: String) -> [String] { text.split(separator: ":").map(String.init) }
    if let named { return ModelFolders(folders(named)) }
    // What systemd runs for all has a state, and no user's home.
    let isSystem = userID == 0 || value("STATE_DIRECTORY", in: environment) != nil
    return .standard(
      environment: isSystem ? [:] : environment,
      home: isSystem ? nil : home(environment: environment, userID: userID),
      shipped: value("BANANA_MODELS", in: environment).map(folders)
        ?? [installed("models", named: nil), "/usr/share/banana/models"])
  }

  /// `BANANA_PEELS`, else `../share/banana/peels` beside the executable, else `peels` in the
  /// working directory.
  static func peels(environment: [String: String]) -> String {
    installed("peels", named: environment["BANANA_PEELS"])
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
    return home(environment: environment, userID: userID).flatMap {
      $0.hasPrefix("/") ? $0 + "/.local/state/banana" : nil
    }
  }

  private static func home(environment: [String: String], userID: uid_t) -> String? {
    value("HOME", in: environment)
      ?? getpwuid(userID).map { String(cString: $0.pointee.pw_dir) }
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

  private static func installed(_ folder: String, named: String?) -> String {
    if let named, !named.isEmpty { return named }
    let files = FileManager.default
    if let executable = try? files.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
      let installed = URL(filePath: executable).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "share/banana/\(folder)").path
      if files.fileExists(atPath: installed) { return installed }
    }
    return folder
  }
}
