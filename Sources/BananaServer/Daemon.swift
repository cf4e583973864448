import BananaAPI
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
package import ServiceLifecycle

/// The daemon: HTTP/1.1 on a Unix socket in front of the scheduler and the resident model.
///
/// On a graceful shutdown it removes its socket and accepts nothing more, answers jobs that wait
/// with `shutting_down`, finishes the one that runs, sends its answer and returns.
package struct Daemon: Service {
  private let configuration: DaemonConfiguration
  private let listener: Listener
  private let adminListener: Listener?
  private let logger: Logger
  /// The one model that is open.
  package let model: ResidentModel
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
  ///   - accounts: Whose share each peer's requests count into.
  ///   - namespace: Which uids there are where the daemon runs.
  ///   - environment: Where systemd may say how memory pressure is watched.
  ///   - availableBytes: Memory that is free for new work; by default what the kernel tells.
  ///   - makeEngine: Called when the daemon runs, and again by later requests while it throws.
  package init(
    configuration: DaemonConfiguration = .init(), listener: Listener,
    adminListener: Listener? = nil, logger: Logger, metrics: MetricsRegistry = MetricsRegistry(),
    accounts: AccountBook = AccountBook(), namespace: UserNamespace = UserNamespace(),
    environment: [String: String] = [:], availableBytes: (@Sendable () -> Int?)? = nil,
    makeEngine: @escaping EngineFactory
  ) {
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
    model = ResidentModel(
      logger: logger, retryInterval: configuration.modelRetryInterval
    ) {
      let engine = try await makeEngine()
      memory.govern(engine)
      if let actor = engine as? any Actor { watch.watch(actor) }
      return engine
    }
    self.watch = watch
    self.memory = memory
    self.metrics = metrics
    let scheduler = JobScheduler(
      configuration: configuration, metrics: metrics, activity: activity,
      availableBytes: availableBytes ?? { memory.availableBytes })
    self.scheduler = scheduler
    heat = ThermalGovernor(
      sysfsRoot: configuration.sysfsRoot,
      ladder: ThermalLadder(full: configuration.limits),
      clockRate: configuration.thermalClockRate, logger: logger
    ) { scheduler.apply($0) }
    peels = PeelRegistry(
      stateDirectory: configuration.stateDirectory, shippedDirectory: configuration.peelsDirectory,
      limits: configuration.peelLimits, accounts: accounts, logger: logger
    ) { [model] peel in
      try await model.engine().check(peel)
    }
  }

  /// What keeps board and machine well while the daemon serves.
  package var governors: [any Service] { [heat, memory] }

  /// What keeps systemd informed, if it has started the daemon.
  package var systemd: [any Service] {
    guard let notifier = ServiceNotifier() else { return [] }
    return [
      SystemdService(notifier: notifier, watch: watch, logger: logger) { [model, scheduler, heat] in
        let jobs = await scheduler.snapshot(for: nil)
        switch await model.state {
        case .opening: return "Opening the model."
        case .unavailable(let reason): return "No model: \(reason)"
        case .available(let engine, _):
          let waiting = jobs.waitingJobs.values.reduce(0, +)
          return "\(engine.model.name): \(jobs.runningJobs) running, \(waiting) waiting"
            + (heat.isLimiting ? "; slowed down by heat" : "")
        }
      }
    ]
  }

  /// Takes on new settings; limits that a client has met already stay met.
  package func apply(_ configuration: DaemonConfiguration) async {
    admission.apply(configuration)
    await scheduler.apply(configuration)
    peels.apply(configuration.peelLimits)
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
        group.addTask { await model.open() }
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
    await scheduler.drain()
    try? await Task.sleep(for: configuration.closingGrace)
    connections.closeAll()
  }

  private func makeHTTPChannel(_ complaints: ComplaintLog) -> HTTP1Channel {
    let routes = DaemonRoutes(
      model: model, scheduler: scheduler, peels: peels, connections: connections,
      complaints: complaints, turns: FairTurns(width: ProcessFacts.turnWidth), metrics: metrics,
      heat: heat, memory: memory, socketPath: listener.path, namespace: namespace, started: .now,
      logger: logger)
    let responder = routes.makeResponder()
    return HTTP1Channel(
      responder: { request, writer, channel in
        // A connection that has gone needs no answer.
        guard let connection = connections.connection(of: channel) else { return }
        let context = DaemonRequestContext(source: .init(connection: connection, logger: logger))
        let response = try await responder.respond(to: request, context: context)
        try await writer.write(response: response.head, body: response.body)
      })
  }
}
