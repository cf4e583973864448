import ArgumentParser
import BananaAPI
import BananaServer
import Diffusion
import Execution
import FoundationEssentials
import Logging
import NIOPosix
import ServiceLifecycle
import Serving
import TensorTypes
import UnixSignals

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Composes and runs.
struct Bananad: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bananad",
    abstract: "Draws pictures from text for the apps of this machine, over a Unix socket.",
    discussion: """
      Every flag but --config, --sysfs-root and --activations can be set in the config file too; \
      the flag wins, and SIGHUP reads the file again. The socket is \
      --socket, else $BANANA_SOCKET, else /run/banana/banana.sock for root and \
      $XDG_RUNTIME_DIR/banana/banana.sock for everybody else; sockets that systemd hands over \
      (LISTEN_FDS) win, and one with FileDescriptorName=admin is the admin socket. \
      bananad opens no TCP port: bananad-tcp.socket, a unit that ships disabled, puts systemd's \
      socket proxy on 127.0.0.1:22626 in front of the socket. \
      SIGTERM and SIGINT finish the running jobs, answer those that wait with shutting_down, and \
      exit with 0.
      """,
    version: BananaVersion.current)

  @Option(help: "Path of the Unix socket for apps, mode 0660.")
  var socket: String?

  @Option(
    help: "Path of the Unix socket for admins, mode 0600. Default: the system's daemon has one."
  )
  var adminSocket: String?

  @Option(
    help: """
      Folder for what is installed. Default: $STATE_DIRECTORY, else /var/lib/banana for root and \
      $XDG_STATE_HOME/banana for everybody else.
      """)
  var state: String?

  @Option(
    help: """
      Folders with the model packages, separated by colons. Default: \
      $XDG_DATA_HOME/banana/models of the user, /var/lib/banana/models, and $BANANA_MODELS or \
      where installed.
      """)
  var models: String?

  @Option(help: "Folder with the peels that ship. Default: $BANANA_PEELS, else where installed.")
  var peels: String?

  @Option(help: "Where the kernel's sysfs is. Default: /sys.")
  var sysfsRoot: String?

  @Option(help: .hidden, transform: { try number($0, in: 1...1000) })
  var thermalClockRate: Double?

  @Option(
    help:
      "A JSON file with settings. Default: $CONFIGURATION_DIRECTORY/bananad.json, if it is there."
  )
  var config: String?

  @Option(
    help: "Jobs that may wait; one more is answered with busy. Default: 32.",
    transform: { try number($0, in: 1...100_000) })
  var queue: Int?

  @Option(
    help: "Threads that compute. Default: one a processor.",
    transform: { try number($0, in: 1...1024) })
  var threads: Int?

  @Option(
    help: """
      What computes: cpu, or vulkan:N, a GPU by its number in banana doctor (vulkan is the first). \
      Default: cpu.
      """,
    transform: { text in
      guard let choice = BackendChoice(text) else {
        throw ValidationError("There is no backend \"\(text)\": cpu, vulkan or vulkan:N.")
      }
      return choice
    })
  var backend = BackendChoice.cpu

  @Option(help: "int8, or float32: exact and slow, to compare with other programs. Default: int8.")
  var activations: ActivationFormat = .int8

  @Option(
    help: "trace, debug, info, notice, warning, error or critical. Default: info.",
    transform: { name in
      guard let level = Logger.Level(rawValue: name) else {
        throw ValidationError("There is no log level \"\(name)\".")
      }
      return level
    })
  var logLevel: Logger.Level?

  @Flag(help: .hidden)
  var stopOnStdinEOF = false

  func run() async throws {
    signal(SIGPIPE, SIG_IGN)
    Allocator.keepSmall()
    let environment = ProcessInfo.processInfo.environment
    let settings = try settings()
    let logLevel = LogLevel(settings.logLevel)
    LoggingSystem.bootstrap { AdjustableLogHandler(label: $0, level: logLevel) }
    let logger = Logger(label: "bananad")
    warn(of: settings, logger)
    let path = try socketPath(settings, environment)
    try StateFolder.check(settings.daemon.stateDirectory)
    let listeners = try Listeners.open(
      path: path,
      adminPath: settings.adminSocket
        ?? (path == SocketPath.system ? SocketPath.systemAdmin : nil))
    let backend = try makeBackend(
      backend, threads: settings.daemon.limits.threads,
      stateDirectory: settings.daemon.stateDirectory)
    let daemon = Daemon(
      configuration: settings.daemon, listener: listeners.app, adminListener: listeners.admin,
      logger: logger, environment: environment,
      peelCheck: { model in
        let sites = try LoadedModel.peelSites(path: model.path)
        return { try $0.check(for: sites) }
      },
      opener: modelOpener(
        backend: backend, activations: activations,
        stateDirectory: settings.daemon.stateDirectory))
    let reload = ReloadService(
      daemon: daemon, logger: logger, logLevel: logLevel, settings: settings,
      read: { [self] in
        let settings = try self.settings()
        warn(of: settings, logger)
        return settings
      })
    let services = ServiceGroup(
      configuration: .init(
        // The last is stopped first: systemd hears of it before the running jobs are finished.
        services: [reload] + daemon.governors + [daemon]
          + daemon.systemd,
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    if stopOnStdinEOF { stopAtEndOfInput(services) }
    try await services.run()
  }

  /// The config file's settings with the flags laid over them.
  private func settings() throws -> Settings {
    let environment = ProcessInfo.processInfo.environment
    var settings =
      try (config ?? DataDirectory.configFile(environment: environment)).map {
        path throws(SettingsError) in
        try Settings(contentsOf: path)
      } ?? Settings()
    settings.socket = socket ?? settings.socket
    settings.adminSocket = adminSocket ?? settings.adminSocket
    settings.stateDirectory = state ?? settings.stateDirectory
    settings.modelsDirectory = models ?? settings.modelsDirectory
    settings.peelsDirectory = peels ?? settings.peelsDirectory
    guard
      let state = settings.stateDirectory
        ?? DataDirectory.state(environment: environment, userID: geteuid())
    else {
      throw UsageError(
        message: "HOME is not set and the user has no home, so there is no place for what is "
          + "installed. Give --state DIR.")
    }
    settings.daemon.stateDirectory = state
    settings.daemon.peelsDirectory =
      settings.peelsDirectory ?? DataDirectory.peels(environment: environment)
    settings.daemon.sysfsRoot = sysfsRoot ?? settings.daemon.sysfsRoot
    settings.daemon.thermalClockRate =
      thermalClockRate ?? settings.daemon.thermalClockRate
    settings.logLevel = logLevel ?? settings.logLevel
    settings.daemon.waitingJobs = queue ?? settings.daemon.waitingJobs
    settings.daemon.modelFolders = DataDirectory.models(
      named: settings.modelsDirectory, environment: environment, userID: geteuid())
    settings.threads = threads ?? settings.threads
    settings.daemon.limits.threads =
      settings.threads ?? ProcessInfo.processInfo.activeProcessorCount
    return settings
  }

  /// Says which models the settings name that are not installed. They may come: models are found
  /// while the daemon runs.
  private func warn(of settings: Settings, _ logger: Logger) {
    let models = settings.daemon.modelFolders.models().filter { $0.fault == nil }
    do throws(SettingsError) {
      try settings.checkModels(installed: models.map(\.name), path: config ?? "")
    } catch { logger.warning("\(error)") }
  }

  private func socketPath(
    _ settings: Settings, _ environment: [String: String]
  ) throws -> String {
    let found = SocketPath.forDaemon(environment: environment, isRoot: geteuid() == 0)
    if let path = settings.socket ?? found { return path }
    throw UsageError(
      message: "XDG_RUNTIME_DIR is not set, so there is no place for the socket. Give --socket "
        + "PATH.")
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

extension ActivationFormat: ExpressibleByArgument {}

/// An option's number, if it is one of its range; what overflows or is none (NaN) is not.
private func number<Number: LosslessStringConvertible & Comparable>(
  _ text: String, in range: ClosedRange<Number>
) throws -> Number {
  guard let number = Number(text), range.contains(number) else {
    throw ValidationError(
      "It must be a number between \(range.lowerBound) and \(range.upperBound).")
  }
  return number
}
