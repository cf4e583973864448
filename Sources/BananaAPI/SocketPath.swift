#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Where the daemon's socket is.
///
/// `BANANA_SOCKET` wins for daemon and client alike. Without it the daemon of a user serves
/// `$XDG_RUNTIME_DIR/banana/banana.sock`, and that of the system `/run/banana/banana.sock`; a
/// client takes the first of the two that exists.
public enum SocketPath {
  /// The variable that names the socket.
  public static let environmentVariable = "BANANA_SOCKET"
  /// The socket of the system's daemon.
  public static let system = "/run/banana/banana.sock"
  /// The socket of the system's daemon for whoever runs the machine.
  public static let systemAdmin = "/run/banana/admin.sock"

  /// The most bytes of a path, from `sockaddr_un.sun_path` without the closing NUL.
  package static let maximumBytes = 107

  /// Why no socket can have the path; nil when one can.
  package static func fault(in path: String) -> String? {
    if path.isEmpty { return "is empty" }
    let bytes = path.utf8.count
    return bytes > maximumBytes ? "has \(bytes) bytes and Linux takes at most \(maximumBytes)" : nil
  }

  /// The socket that a client of this process connects to.
  public static func forClient() -> String {
    forClient(environment: ProcessInfo.processInfo.environment) {
      FileManager.default.fileExists(atPath: $0)
    }
  }

  package static func forClient(
    environment: [String: String], exists: (String) -> Bool
  ) -> String {
    if let path = named(in: environment) { return path }
    if let path = user(in: environment), exists(path) { return path }
    return exists(system) ? system : user(in: environment) ?? system
  }

  /// The socket that a daemon serves, or nil for a user without `XDG_RUNTIME_DIR`.
  package static func forDaemon(environment: [String: String], isRoot: Bool) -> String? {
    if let path = named(in: environment) { return path }
    return isRoot ? system : user(in: environment)
  }

  private static func named(in environment: [String: String]) -> String? {
    environment[environmentVariable].flatMap { $0.isEmpty ? nil : $0 }
  }

  private static func user(in environment: [String: String]) -> String? {
    guard let directory = environment["XDG_RUNTIME_DIR"], !directory.isEmpty else { return nil }
    return directory + "/banana/banana.sock"
  }
}
