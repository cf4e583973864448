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
      modelFolders: ModelFolders.ofProcess)
    try await reportingFailures {
      print(json ? try JSONText.encode(findings) : findings.map(\.text).joined(separator: "\n"))
    }
    if findings.contains(where: { $0.grade == .fail }) {
      throw ExitCode(FailureCode.other.rawValue)
    }
  }

  static func findings(
    socketPath: String, files: SystemFiles, modelFolders: ModelFolders
  ) async -> [Finding] {
    let daemon = await DaemonChecks(socketPath: socketPath, modelFolders: modelFolders).findings()
    return daemon.findings
      + MachineChecks(files: files).findings(daemon.need) + DeviceChecks().findings()
      + (await ServiceChecks(files: files).findings())
  }
}
