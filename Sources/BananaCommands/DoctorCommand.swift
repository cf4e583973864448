import ArgumentParser
import BananaAPI
import FoundationEssentials

/// `banana doctor`.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Looks what is wrong with this machine's Banana, and says how to mend it.",
    discussion: "Exits with 1 when a line says fail.")

  @Flag(help: "Print what was found as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    let findings = await Self.findings(
      socketPath: connection.socket ?? SocketPath.forClient(), files: SystemFiles(),
      modelFolders: Self.modelFolders)
    try await reportingFailures {
      print(json ? try JSONText.encode(findings) : findings.map(\.text).joined(separator: "\n"))
    }
    if findings.contains(where: { $0.grade == .fail }) {
      throw ExitCode(FailureCode.other.rawValue)
    }
  }

  static func findings(
    socketPath: String, files: SystemFiles, modelFolders: [String]
  ) async -> [Finding] {
    let daemon = await DaemonChecks(socketPath: socketPath, modelFolders: modelFolders).findings()
    return daemon.findings
      + MachineChecks(files: files).findings(daemon.need)
      + (await ServiceChecks(files: files).findings())
  }

  /// Where bananad looks for model packages.
  private static var modelFolders: [String] {
    let environment = ProcessInfo.processInfo.environment
    let named = environment["BANANA_MODELS"] ?? ""
    if !named.isEmpty { return named.split(separator: ":").map(String.init) }
    let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let installed = program.map {
      URL(filePath: $0).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "share/banana/models").path
    }
    let own =
      environment["XDG_DATA_HOME"].map { $0 + "/banana/models" }
      ?? environment["HOME"].map { $0 + "/.local/share/banana/models" }
    return [own, "/var/lib/banana/models", installed, "models"].compactMap { $0 }
  }
}
