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
    /// The most since the start, or since `forgetPeak`.
    var peakBytes: Int
    var descriptors: Int
    var threads: Int
    /// Of all threads, in user and kernel mode.
    var processorSeconds: Double
  }

  /// What is left while nobody asks for anything.
  struct Rest {
    var facts: Facts
    /// Beside the one that asks.
    var connections: Int
    var jobs: Int
    var files: [String]
  }

  private let executable: String
  private let models: String
  let space: Workspace
  /// The group that may connect; nil is this process's.
  private let group: UInt32?
  /// The file that a process joins a control group by; nil joins none.
  private let controlGroup: ControlGroup?
  /// Descriptors that it may have; nil is as many as this process.
  var descriptorLimit: Int?
  private var process: Process?
  private var lifeline: Pipe?
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
  /// With what it ended; negative for a signal.
  var exitStatus: Int32 {
    guard let process, !process.isRunning else { return 0 }
    let status = process.terminationStatus
    return process.terminationReason == .uncaughtSignal ? -status : status
  }

  /// Starts it and waits until it can draw.
  func start() async throws {
    let process = Process()
    var command = [
      executable, "--socket", space.socket, "--admin-socket", space.adminSocket, "--state",
      space.state, "--models", models, "--peels", space.peels, "--config", space.config,
      "--stop-on-stdin-eof",
    ]
    if let controlGroup {
      // The shell joins the group and becomes the daemon, which thus is in it from the first page.
      command = ["/bin/sh", "-c", #"echo $$ > "$0" && exec "$@""#, controlGroup.members] + command
    }
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    // However this process ends, the daemon does not stay behind.
    let lifeline = Pipe()
    process.standardInput = lifeline
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
    // Inherited, as both have to be: a shell between would take the group away.
    let limit = DescriptorLimit.now
    if let descriptorLimit { DescriptorLimit(descriptorLimit).set() }
    defer { limit.set() }
    try process.run()
    self.process = process
    self.lifeline = lifeline
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
    return exitStatus
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
    let proc = "/proc/\(pid)"
    guard let status = FileManager.default.contents(atPath: proc + "/status"),
      let descriptors = try? FileManager.default.contentsOfDirectory(atPath: proc + "/fd")
    else { return nil }
    func figure(_ name: String) -> Int {
      let line = String(decoding: status, as: UTF8.self).split(separator: "\n")
        .first { $0.hasPrefix(name) }
      return line?.split(whereSeparator: { $0 == "\t" || $0 == " " }).dropFirst().first
        .flatMap { Int($0) } ?? 0
    }
    return Facts(
      residentBytes: figure("VmRSS:") * 1024, peakBytes: figure("VmHWM:") * 1024,
      descriptors: descriptors.count, threads: figure("Threads:"),
      processorSeconds: ProcessorTime.seconds(of: pid))
  }

  /// Makes the kernel measure the peak of memory anew, where it lets this process.
  func forgetPeak() {
    let file = open("/proc/\(pid)/clear_refs", O_WRONLY)
    guard file >= 0 else { return }
    _ = write(file, "5", 1)
    close(file)
  }

  /// Waits until no job is left, no answer is kept, nobody but this process is connected, and the
  /// engine has given its memory back.
  /// - Parameter patience: Seconds for jobs and connections to end.
  func rest(patience: Double = 20) async throws -> Rest {
    let client = BananaClient(socketPath: space.adminSocket)
    let deadline = Clock.now + patience
    var (connections, jobs) = (0, 0)
    repeat {
      try await Task.sleep(for: .milliseconds(200))
      connections = try await client.status().connections - 1
      jobs = try await client.jobs().count
    } while (connections > 0 || jobs > 0) && Clock.now < deadline
    try await Task.sleep(for: .seconds(4))
    guard isRunning, let facts else { throw SoakError("bananad ended by itself") }
    return Rest(facts: facts, connections: connections, jobs: jobs, files: space.stateFiles)
  }
}

/// How many descriptors a process may have.
private struct DescriptorLimit {
  private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  private var limit = rlimit()

  private init() {}

  init(_ count: Int) {
    limit = rlimit(rlim_cur: rlim_t(count), rlim_max: rlim_t(count))
  }

  /// This process's.
  static var now: DescriptorLimit {
    var now = DescriptorLimit()
    getrlimit(resource, &now.limit)
    return now
  }

  /// Only root can raise it again.
  func set() {
    var limit = limit
    setrlimit(Self.resource, &limit)
  }
}
