import BananaAPI
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
package import ServiceLifecycle
package import Serving

/// The daemon: HTTP/1.1 on a Unix socket in front of the scheduler and the models.
///
/// On a graceful shutdown it removes its socket and accepts nothing more, answers jobs that wait
/// with `shutting_down`, finishes the one that runs, sends its answer and returns.
package struct Daemon: Service {
  private let configuration: DaemonConfiguration
  private let listener: Listener
  private let adminListener: Listener?
  private let logger: Logger
  package let models: ModelLibrary
  package let scheduler: JobScheduler
  private let peels: PeelRegistry
  private let connections = ConnectionRegistry()
  private let accounts: AccountBook
  private let namespace: UserNamespace
  /// With which several users come.
  private let sharedUIDs: Set<UInt32>
  private let admission: Admission
  private let metrics: MetricsRegistry
  private let heat: ThermalGovernor
  private let memory: MemoryGovernor
  private let watch: EngineWatch

  /// - Parameters:
  ///   - listener: For apps; owned by the daemon from here on.
  ///   - adminListener: Who comes by it may do what concerns all users; owned likewise.
  ///   - metrics: What `/metrics` shows.
  ///   - accounts: Whose share each peer's requests count into; by default the machine's.
  ///   - namespace: Which uids there are where the daemon runs.
  ///   - environment: Where systemd may say how memory pressure is watched.
  ///   - availableBytes: Memory that is free for new work; by default what the kernel tells.
  ///   - list: Looks for models; by default in the configuration's folders.
  ///   - peelCheck: Makes what checks peels against one of them.
  ///   - opener: Opens one of them.
  package init(
    configuration: DaemonConfiguration = .init(), listener: Listener,
    adminListener: Listener? = nil, logger: Logger, metrics: MetricsRegistry = MetricsRegistry(),
    accounts: AccountBook? = nil, namespace: UserNamespace = UserNamespace(),
    environment: [String: String] = [:], availableBytes: (@Sendable () -> Int?)? = nil,
    list: (@Sendable () -> [InstalledModel])? = nil,
    peelCheck: @escaping @Sendable (InstalledModel) throws -> ModelLibrary.PeelCheck,
    opener: @escaping ModelLibrary.Opener
  ) {
    let accounts = accounts ?? AccountBook(logger: logger)
    let activity = EngineActivity()
    let watch = EngineWatch(activity: activity)
    let idleUnload = configuration.idleUnload
    let memory = MemoryGovernor(
      settings: .init(idleUnload: idleUnload > .zero ? idleUnload : nil), activity: activity,
      environment: environment, logger: logger)

    self.configuration = configuration
    self.listener = listener
    self.adminListener = adminListener
    self.logger = logger
    self.accounts = accounts
    self.namespace = namespace
    sharedUIDs = Set(
      [namespace.overflowUID] + [configuration.forwarderUID].compactMap { $0 }.map { UInt32($0) })
    admission = Admission(
      configuration: configuration, connections: ProcessFacts.connectionLimit)
    self.watch = watch
    self.memory = memory
    self.metrics = metrics
    let available = availableBytes ?? { memory.availableBytes }
    let scheduler = JobScheduler(
      configuration: configuration, metrics: metrics, activity: activity,
      availableBytes: available)
    self.scheduler = scheduler
    models = ModelLibrary(
      settings: .init(
        folders: configuration.modelFolders, retryInterval: configuration.modelRetryInterval,
        defaultModel: configuration.defaultModel), logger: logger, list: list,
      availableBytes: available, makeWay: { scheduler.makeWay($0) },
      opened: { engines in watch.watch(engines.last as? any Actor) },
      charge: { await scheduler.charge($0, seconds: $1) },
      peelCheck: peelCheck, opener: opener)
    memory.govern(models)
    heat = ThermalGovernor(
      sysfsRoot: configuration.sysfsRoot,
      ladder: ThermalLadder(full: configuration.limits),
      clockRate: configuration.thermalClockRate, logger: logger
    ) { scheduler.apply($0) }
    peels = PeelRegistry(
      stateDirectory: configuration.stateDirectory, shippedDirectory: configuration.peelsDirectory,
      limits: configuration.peelLimits, accounts: accounts, logger: logger,
      models: models.peelModels,
      charge: { [scheduler] in await scheduler.charge($0, seconds: $1) })
  }

  /// What keeps board and machine well while the daemon serves.
  package var governors: [any Service] { [heat, memory] }

  /// What keeps systemd informed, if it has started the daemon.
  package var systemd: [any Service] { ServiceNotifier().map { [informing($0)] } ?? [] }

  /// Tells a service manager what the daemon does, and that it gets ahead.
  package func informing(_ notifier: ServiceNotifier) -> some Service {
    SystemdService(notifier: notifier, watch: watch, logger: logger) { [models, scheduler, heat] in
      let line = models.statusLine
      guard models.backend != nil else { return line }
      let jobs = await scheduler.snapshot(for: nil)
      let waiting = jobs.waitingJobs.values.reduce(0, +)
      return "\(line): \(jobs.runningJobs) running, \(waiting) waiting"
        + (heat.isLimiting ? "; slowed down by heat" : "")
    }
  }

  /// Takes on new settings; limits that a client has met already stay met.
  package func apply(_ configuration: DaemonConfiguration) async {
    admission.apply(configuration)
    await scheduler.apply(configuration)
    peels.apply(configuration.peelLimits)
    models.apply(defaultModel: configuration.defaultModel)
    await models.rescan()
  }

  /// Serves until the service group shuts down gracefully.
  /// - Throws: `StateFolderError`, and what the sockets say.
  package func run() async throws {
    do throws(StateFolderError) { try StateFolder.check(configuration.stateDirectory) } catch {
      listener.removeFile()
      adminListener?.removeFile()
      throw error
    }
    ProcessFacts.raiseDescriptorLimit()
    let complaints = ComplaintLog(logger: logger)
    let http = makeHTTPChannel(complaints)
    let front = Front(
      admission: admission, accounts: accounts, sharedUIDs: sharedUIDs, connections: connections,
      complaints: complaints, patience: TimeAmount(configuration.idleTimeout), logger: logger)
    let acceptor = try Acceptor(listener)
    let adminAcceptor = try adminListener.map(Acceptor.init)
    if namespace.isPartial {
      logger.warning(
        """
        users without a uid in this user namespace are not told apart, and own no peels, jobs or \
        kept answers
        """, metadata: ["uid": "\(namespace.overflowUID)"])
    }
    logger.notice(
      "serving", metadata: ["socket": "\(listener.path)", "admin": "\(adminListener?.path ?? "")"])
    try await withGracefulShutdownHandler {
      try await withThrowingTaskGroup { group in
        group.addTask { await models.prepare() }
        group.addTask { await peels.prepare() }
        for (acceptor, isAdmin) in [(acceptor, false), (adminAcceptor, true)] {
          guard let acceptor else { continue }
          group.addTask {
            try await front.serve(acceptor, isAdmin: isAdmin) {
              await http.handle(value: $0, logger: logger)
            }
          }
        }
        try await group.waitForAll()
      }
    } onGracefulShutdown: {
      acceptor.stop()
      adminAcceptor?.stop()
      Task { await stop() }
    }
    logger.notice("stopped")
  }

  private func stop() async {
    logger.notice("stopping")
    listener.removeFile()
    adminListener?.removeFile()
    connections.stop()
    models.stop()
    await scheduler.drain()
    try? await Task.sleep(for: configuration.closingGrace)
    connections.closeAll()
  }

  private func makeHTTPChannel(_ complaints: ComplaintLog) -> HTTP1Channel {
    let background = BackgroundWork<Account>(width: ProcessFacts.turnWidth) { [scheduler] in
      await scheduler.charge($0, seconds: $1)
    }
    let routes = DaemonRoutes(
      models: models, scheduler: scheduler, peels: peels, connections: connections,
      complaints: complaints, background: background, metrics: metrics, heat: heat,
      memory: memory, socketPath: listener.path, namespace: namespace, started: .now,
      logger: logger)
    let responder = routes.makeResponder()
    return HTTP1Channel(
      responder: { request, writer, channel in
        // A connection that has gone needs no answer.
        guard let connection = connections.connection(of: channel) else { return }
        let response = try await connection.handle {
          try await responder.respond(
            to: request,
            context: DaemonRequestContext(source: .init(connection: connection, logger: logger)))
        }
        try await writer.write(response: response.head, body: response.body)
      })
  }
}
