import FoundationEssentials

/// Where the model packages are when nobody says so.
enum ModelsDirectory {
  /// `BANANA_MODELS`, else `../share/banana/models` beside the executable, else `models` in the
  /// working directory.
  static func find(environment: [String: String]) -> String {
    if let named = environment["BANANA_MODELS"], !named.isEmpty { return named }
    let files = FileManager.default
    if let executable = try? files.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
      let installed = URL(filePath: executable).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "share/banana/models").path
      if files.fileExists(atPath: installed) { return installed }
    }
    return "models"
  }
}
