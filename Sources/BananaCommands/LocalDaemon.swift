package import BananaSDK
import FoundationEssentials
import UnixSignals

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A private bananad for one command, in a private folder, gone with the command however it ends.
package struct LocalDaemon: Sendable {
  /// Opening the model is quick; what takes longer is stuck.
  static let startSeconds = 60.0
  /// After SIGTERM; the job was cancelled before.
  static let stopSeconds = 10.0

  let directory: String
  let process: ChildProcess

  private var socketPath: String { directory + "/banana.sock" }
  private var logPath: String { directory + "/bananad.log" }

  /// Starts a daemon, hands a client for it to `body`, and stops it, also on SIGINT and SIGTERM.
  /// - Parameter options: More of bananad's.
  package static func withDaemon(
    modelsDirectory: String?, peelsDirectory: String?, options: [String] = [],
    _ body: @escaping @Sendable (BananaClient) async throws -> Void
  ) async throws {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    let daemon = try start(
      modelsDirectory: modelsDirectory, peelsDirectory: peelsDirectory, options: options)
    let result: Result<Void, any Error>
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        defer { group.cancelAll() }
        group.addTask {
          for await _ in signals { throw Failure(code: .interrupted, message: "Interrupted.") }
        }
        group.addTask {
          let client = BananaClient(socketPath: daemon.socketPath)
          try await daemon.waitUntilReady(client)
          try await body(client)
        }
        try await group.next()
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    await daemon.stop()
    try result.get()
  }

  private static func start(
    modelsDirectory: String?, peelsDirectory: String?, options: [String]
  ) throws -> LocalDaemon {
    let executable = try findDaemon()
    let directory = try makeDirectory()
    var arguments = [
      executable, "--socket", directory + "/banana.sock", "--state", directory + "/state",
      "--stop-on-stdin-eof",
    ]
    if let modelsDirectory { arguments += ["--models", modelsDirectory] }
    if let peelsDirectory { arguments += ["--peels", peelsDirectory] }
    arguments += options
    do {
      let process = try ChildProcess.spawn(arguments, outputPath: directory + "/bananad.log")
      return LocalDaemon(directory: directory, process: process)
    } catch {
      try? FileManager.default.removeItem(atPath: directory)
      throw error
    }
  }

  private func waitUntilReady(_ client: BananaClient) async throws {
    let deadline = ContinuousClock.now + .seconds(Self.startSeconds)
    while true {
      do {
        return try await client.checkReady()
      } catch {
        guard case .daemonNotRunning = error else { throw error }
      }
      guard process.isRunning, .now < deadline else {
        throw Failure(
          code: .unavailable,
          message: "The private bananad did not start. Its last words:\n\(logTail)")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  private func stop() async {
    process.terminate()
    let deadline = ContinuousClock.now + .seconds(Self.stopSeconds)
    while process.isRunning, .now < deadline { try? await Task.sleep(for: .milliseconds(5)) }
    process.kill()
    try? FileManager.default.removeItem(atPath: directory)
  }

  private var logTail: String {
    guard let log = FileManager.default.contents(atPath: logPath), !log.isEmpty else {
      return "(nothing)"
    }
    return String(decoding: log.suffix(2000), as: UTF8.self)
  }

  /// The bananad beside this executable, else the one on the PATH.
  private static func findDaemon() throws -> String {
    let files = FileManager.default
    var folders: [String] = []
    if let own = try? files.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
      folders.append(URL(filePath: own).deletingLastPathComponent().path)
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    folders += path.split(separator: ":").map(String.init)
    for folder in folders where files.isExecutableFile(atPath: folder + "/bananad") {
      return folder + "/bananad"
    }
    throw Failure(
      code: .unavailable,
      message: "There is no bananad beside banana or on the PATH. Build it with: swift build")
  }

  /// A folder that only this user can enter, with a path short enough for a socket.
  private static func makeDirectory() throws -> String {
    let wanted = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    let parent = wanted.isEmpty || wanted.utf8.count > 60 ? "/tmp" : wanted
    var template = Array("\(parent)/banana-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Failure(
        code: .other,
        message: "A private folder in \(parent) cannot be made: \(SystemReason.text(errno)). Set "
          + "TMPDIR to a folder that you may write to.")
    }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
