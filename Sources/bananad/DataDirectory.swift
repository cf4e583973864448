import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where bananad's folders are when nobody says so.
enum DataDirectory {
  /// `BANANA_MODELS`, else `../share/banana/models` beside the executable, else `models` in the
  /// working directory.
  static func models(environment: [String: String]) -> String {
    installed("models", named: environment["BANANA_MODELS"])
  }

  /// Likewise for the peels that ship, by `BANANA_PEELS`.
  static func peels(environment: [String: String]) -> String {
    installed("peels", named: environment["BANANA_PEELS"])
  }

  /// systemd's `STATE_DIRECTORY`, else `/var/lib/banana` for root, else the user's by the XDG base
  /// directory specification.
  /// - Returns: Nil for a user without a home.
  static func state(environment: [String: String], userID: uid_t) -> String? {
    func value(_ name: String) -> String? {
      environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    if let given = value("STATE_DIRECTORY") { return given }
    if userID == 0 { return "/var/lib/banana" }
    // What is not absolute does not count, says the specification.
    if let states = value("XDG_STATE_HOME"), states.hasPrefix("/") { return states + "/banana" }
    let home = value("HOME") ?? getpwuid(userID).map { String(cString: $0.pointee.pw_dir) }
    return home.flatMap { $0.hasPrefix("/") ? $0 + "/.local/state/banana" : nil }
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
