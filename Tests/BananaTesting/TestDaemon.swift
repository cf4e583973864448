package import BananaServer
package import Diffusion
import FoundationEssentials
import Logging
import ServiceLifecycle
package import Serving

/// A daemon in this process, on a socket in a folder of its own.
package struct TestDaemon: Sendable {
  package let socketPath: String
  package let adminSocketPath: String
  package let daemon: Daemon
  package let metrics = MetricsRegistry()
  private let services: ServiceGroup
  private let running: Task<Void, any Error>

  /// Runs a daemon around `body` and stops it gracefully.
  package static func serving<Result: Sendable>(
    _ engine: FakeEngine = FakeEngine(),
    configuration: DaemonConfiguration = .init(), availableBytes: Int? = nil,
    accounts: AccountBook = .ofStrangers, namespace: UserNamespace = .init(),
    log: RecordedLog? = nil, body: (TestDaemon) async throws -> Result
  ) async throws -> Result {
    try await serving(
      configuration: configuration, availableBytes: availableBytes, accounts: accounts,
      namespace: namespace, log: log, models: [InstalledModel(of: engine)],
      makeEngine: { engine }, body: body)
  }

  /// Likewise with a factory.
  /// - Parameters:
  ///   - models: What is found on the disk.
  ///   - makeEngine: Opens any of them.
  package static func serving<Result: Sendable>(
    configuration: DaemonConfiguration = .init(), availableBytes: Int? = nil,
    accounts: AccountBook = .ofStrangers, namespace: UserNamespace = .init(),
    log: RecordedLog? = nil, models: [InstalledModel] = [InstalledModel(of: FakeEngine())],
    makeEngine: @escaping @Sendable () throws -> any PictureEngine,
    body: (TestDaemon) async throws -> Result
  ) async throws -> Result {
    try await TemporaryFolder.with { folder in
      let daemon = try TestDaemon(
        socketPath: folder + "/b.sock", configuration: configuration,
        availableBytes: availableBytes, accounts: accounts, namespace: namespace, log: log,
        list: { models }, opener: { _, _ in try makeEngine() })
      do {
        let result = try await body(daemon)
        try await daemon.stop()
        return result
      } catch {
        try await daemon.stop()
        throw error
      }
    }
  }

  /// Whether the daemon answers.
  package var isAlive: Bool {
    get async throws {
      try await RawConnection(socketPath).exchange("GET", "/healthz").status == 200
    }
  }

  /// - Parameters:
  ///   - stateDirectory: Nil is one beside the socket, so that a daemon that comes after this one
  ///     finds what it left.
  ///   - looksForModels: Whether the models are those in the configuration's folders, instead of
  ///     `list`.
  package init(
    socketPath: String, stateDirectory: String? = nil,
    configuration: DaemonConfiguration = .init(), availableBytes: Int? = nil,
    accounts: AccountBook = .ofStrangers, namespace: UserNamespace = .init(),
    log: RecordedLog? = nil,
    list: (@Sendable () -> [InstalledModel])? = nil, looksForModels: Bool = false,
    opener: @escaping ModelLibrary.Opener
  ) throws {
    self.socketPath = socketPath
    adminSocketPath = socketPath + ".admin"
    var configuration = configuration
    configuration.stateDirectory = stateDirectory ?? socketPath + ".state"
    let logger = Logger(label: "test") { _ in log?.handler ?? SwiftLogNoOpLogHandler() }
    let listeners = try Listeners.open(
      path: socketPath, adminPath: adminSocketPath)
    daemon = Daemon(
      configuration: configuration, listener: listeners.app, adminListener: listeners.admin,
      logger: logger, metrics: metrics, accounts: accounts, namespace: namespace,
      availableBytes: { availableBytes },
      list: looksForModels ? nil : list ?? { [InstalledModel(of: FakeEngine())] },
      peelCheck: { model in
        let engine = FakeEngine(name: model.name)
        return { try engine.check($0) }
      }, opener: opener)
    let services = ServiceGroup(configuration: .init(services: [daemon], logger: logger))
    self.services = services
    running = Task { try await services.run() }
  }

  /// What SIGTERM does.
  package func beginStopping() async {
    await services.triggerGracefulShutdown()
  }

  /// Stops and waits for the end.
  package func stop() async throws {
    await beginStopping()
    try await running.value
  }
}

extension InstalledModel {
  /// A package on the disk that an engine could be of.
  package init(of engine: FakeEngine, weightBytes: Int = 0) {
    let model = engine.model
    self.init(
      name: model.name, path: "/nowhere/\(model.name)", family: model.family,
      version: model.version, description: model.description, licenses: model.licenses,
      weightBytes: weightBytes, created: 1_700_000_000)
  }
}

extension PeelModels {
  /// One model, called fake.
  package init(_ check: @escaping @Sendable (OpenPeel) throws -> Void) {
    self.init(
      installed: { ["fake": "fake"] },
      check: {
        { peel in
          try check(peel)
          return ["fake"]
        }
      })
  }
}

extension JobScheduler {
  /// Takes a job in for an engine that is no library's.
  package func submit(
    _ submission: Submission, to engine: any PictureEngine
  ) throws(JobError) -> Job {
    try submit(
      submission, to: ModelLease(engine), key: engine.batchKey(for: submission.request))
  }
}

extension AccountBook {
  /// Each uid has an account of its own, whoever this machine knows.
  package static var ofStrangers: AccountBook {
    AccountBook(
      users: UserDatabase(user: { .user($0) }, userNamed: { _ in .nobody }), subordinateFile: "")
  }
}

/// Folders for tests.
package enum TemporaryFolder {
  /// Makes a folder with a short path, and removes it after `body`.
  package static func with<Result: Sendable>(
    _ body: (String) async throws -> Result
  ) async throws -> Result {
    let folder = "/tmp/banana-test-\(UInt32.random(in: 0...UInt32.max))"
    // Nobody else's, whatever the mask is at the moment.
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: false,
      attributes: [.posixPermissions: 0o755])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
  }
}

/// Waits until `condition` holds; false after a minute, which a busy
/// machine may take to give every test its turn.
package func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
  let deadline = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < deadline {
    if try await condition() { return true }
    try? await Task.sleep(for: .milliseconds(3))
  }
  return false
}
