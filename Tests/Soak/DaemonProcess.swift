import BananaAPI
import BananaSDK
import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The daemon under test; it can be killed and started again.
final class DaemonProcess {
  /// Settings of the config file, by name.
  typealias Settings = [String: Double]

  /// What the kernel says of a process.
  struct Facts: Sendable {
    var residentBytes: Int
    var descriptors: Int
    var threads: Int
  }

  private let executable: String
  private let models: String
  private let space: Workspace
  /// The group that may connect; nil is this process's.
  private let group: UInt32?
  /// The file that a process joins a control group by; nil joins none.
  private let controlGroup: ControlGroup?
  private var process: Process?
  /// When it was down: from the signal until it was ready again.
  private(set) var outages: [ClosedRange<Double>] = []

  init(
    executable: String, models: String, space: Workspace, group: UInt32?,
    controlGroup: ControlGroup? = nil
  ) {
    self.executable = executable
    self.models = models
    self.space = space
    self.group = group
    self.controlGroup = controlGroup
  }

  var isRunning: Bool { process?.isRunning ?? false }
  var pid: Int32 { process?.processIdentifier ?? 0 }

  /// Starts it and waits until it can draw.
  func start() async throws {
    let process = Process()
    var command = [
      executable, "--socket", space.socket, "--admin-socket", space.adminSocket, "--state",
      space.state, "--models", models, "--peels", space.peels, "--config", space.config,
    ]
    if let controlGroup {
      // The shell joins the group and becomes the daemon, which thus is in it from the first page.
      command = ["/bin/sh", "-c", #"echo $$ > "$0" && exec "$@""#, controlGroup.members] + command
    }
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    process.standardInput = FileHandle.nullDevice
    if !FileManager.default.fileExists(atPath: space.log) {
      _ = FileManager.default.createFile(atPath: space.log, contents: nil)
    }
    let log = try FileHandle(forWritingTo: URL(filePath: space.log))
    try log.seekToEnd()
    process.standardOutput = log
    process.standardError = log
    // A socket belongs to the group of the process that makes it.
    let own = getegid()
    if let group, setegid(group) != 0 { throw SoakError("cannot take group \(group)") }
    defer { if group != nil { setegid(own) } }
    try process.run()
    self.process = process
    try await waitUntilReady()
  }

  private func waitUntilReady() async throws {
    let client = BananaClient(socketPath: space.socket)
    let deadline = Clock.now + 60
    while Clock.now < deadline, isRunning {
      if (try? await client.checkReady()) != nil { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw SoakError("bananad did not become ready. Its last words:\n\(lastWords)")
  }

  var lastWords: String {
    String(
      decoding: (FileManager.default.contents(atPath: space.log) ?? Data()).suffix(3000),
      as: UTF8.self)
  }

  /// Sends a signal that ends it, waits for that, and starts it again.
  /// - Returns: Its exit status, negative for a signal.
  func restart(by signal: Int32) async throws -> Int32 {
    let began = Clock.now
    let status = try await stop(by: signal)
    try await start()
    outages.append(began...Clock.now)
    return status
  }

  func stop(by signal: Int32) async throws -> Int32 {
    guard let process else { return 0 }
    kill(process.processIdentifier, signal)
    let deadline = Clock.now + 60
    while process.isRunning {
      if Clock.now > deadline {
        kill(process.processIdentifier, SIGKILL)
        throw SoakError("bananad did not stop within 60 s of signal \(signal)")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    let status = process.terminationStatus
    return process.terminationReason == .uncaughtSignal ? -status : status
  }

  /// Writes the config file; a daemon that runs reads it again.
  func configure(_ settings: Settings) async throws {
    let members = settings.sorted { $0.key < $1.key }.map { name, value in
      "\"\(name)\": \(value == value.rounded() ? "\(Int(value))" : "\(value)")"
    }
    let text = "{\(members.joined(separator: ", "))}\n"
    try Data(text.utf8).write(to: URL(filePath: space.config), options: .atomic)
    guard isRunning else { return }
    kill(pid, SIGHUP)
    try await Task.sleep(for: .milliseconds(200))
  }

  var facts: Facts? {
    guard
      let status = FileManager.default.contents(atPath: "/proc/\(pid)/status"),
      let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
    else { return nil }
    func figure(_ name: String) -> Int {
      let line = String(decoding: status, as: UTF8.self).split(separator: "\n")
        .first { $0.hasPrefix(name) }
      return line?.split(whereSeparator: { $0 == "\t" || $0 == " " }).dropFirst().first
        .flatMap { Int($0) } ?? 0
    }
    return Facts(
      residentBytes: figure("VmRSS:") * 1024, descriptors: descriptors.count,
      threads: figure("Threads:"))
  }

  /// Waits until no job is left, no answer is kept, and nobody but this process is connected.
  func waitUntilCalm(seconds: Double) async throws -> (connections: Int, jobs: Int) {
    let client = BananaClient(socketPath: space.adminSocket)
    let deadline = Clock.now + seconds
    while true {
      let status = try await client.status()
      let jobs = try await client.jobs()
      if (status.connections == 1 && jobs.isEmpty) || Clock.now > deadline {
        return (status.connections - 1, jobs.count)
      }
      try await Task.sleep(for: .milliseconds(200))
    }
  }
}
