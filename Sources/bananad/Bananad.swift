import ArgumentParser
import BananaAPI
import BananaServer
import FoundationEssentials
import Logging
import NIOPosix
import ServiceLifecycle
import UnixSignals

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Parses, composes, runs.
@main
struct Bananad: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bananad",
    abstract: "Draws pictures from text for the apps of this machine, over a Unix socket.",
    discussion: """
      The socket is --socket, else $BANANA_SOCKET, else /run/banana/banana.sock for root and \
      $XDG_RUNTIME_DIR/banana/banana.sock for everybody else; a socket that systemd hands over \
      (LISTEN_FDS) wins. SIGTERM and SIGINT finish the running job, answer those that wait with \
      shutting_down, and exit with 0.
      """,
    version: BananaVersion.current)

  @Option(help: "Path of the Unix socket to serve on.")
  var socket: String?

  @Option(help: "Folder with the model packages. Default: $BANANA_MODELS, else where installed.")
  var models: String?

  @Option(help: "Jobs that may wait; one more is answered with busy.")
  var queue = 32

  @Option(help: "Threads that compute. Default: one a processor.")
  var threads: Int?

  @Option(
    help: "trace, debug, info, notice, warning, error or critical.",
    transform: { name in
      guard let level = Logger.Level(rawValue: name) else {
        throw ValidationError("There is no log level \"\(name)\".")
      }
      return level
    })
  var logLevel = Logger.Level.info

  @Flag(help: .hidden)
  var stopOnStdinEOF = false

  func validate() throws {
    guard (1...100_000).contains(queue) else {
      throw ValidationError("--queue must be between 1 and 100000.")
    }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads must be between 1 and 1024.")
    }
  }

  func run() async throws {
    signal(SIGPIPE, SIG_IGN)
    let environment = ProcessInfo.processInfo.environment
    let logLevel = logLevel
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = logLevel
      return handler
    }
    let logger = Logger(label: "bananad")
    let listener = try Listener.open(
      path: try socketPath(environment), environment: environment)
    let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    let modelsDirectory = models ?? ModelsDirectory.find(environment: environment)
    let daemon = Daemon(
      configuration: DaemonConfiguration(waitingJobs: queue), listener: listener, logger: logger
    ) {
      try await makeEngine(modelsDirectory: modelsDirectory, threads: threads)
    }
    let services = ServiceGroup(
      configuration: .init(
        services: [daemon], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    if stopOnStdinEOF { stopAtEndOfInput(services) }
    try await services.run()
  }

  private func socketPath(_ environment: [String: String]) throws -> String {
    if let path = socket ?? SocketPath.forDaemon(environment: environment, isRoot: geteuid() == 0) {
      return path
    }
    throw ValidationError(
      "XDG_RUNTIME_DIR is not set, so there is no place for the socket. Give --socket PATH.")
  }

  /// Ties the daemon's life to whoever holds the other end of standard input, however it dies.
  private func stopAtEndOfInput(_ services: ServiceGroup) {
    Task {
      try await NIOThreadPool.singleton.runIfActive {
        var byte: UInt8 = 0
        while true {
          let count = read(STDIN_FILENO, &byte, 1)
          if count == 0 || (count < 0 && errno != EINTR) { return }
        }
      }
      await services.triggerGracefulShutdown()
    }
  }
}
