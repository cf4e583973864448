import BananaAPI
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging

/// What the routes answer from.
struct DaemonRoutes: Sendable {
  let model: ResidentModel
  let scheduler: JobScheduler
  let peels: PeelRegistry
  let connections: ConnectionRegistry
  let complaints: ComplaintLog
  /// For what no quota measures.
  let turns: FairTurns
  let metrics: MetricsRegistry
  let heat: ThermalGovernor
  let memory: MemoryGovernor
  let socketPath: String
  let namespace: UserNamespace
  let started: ContinuousClock.Instant
  let logger: Logger

  func makeResponder() -> some HTTPResponder<DaemonRequestContext> {
    let router = Router(context: DaemonRequestContext.self)
    router.add(middleware: ErrorMiddleware())
    router.post(RouterPath(Route.imageGenerations)) { request, context in
      try await generateImages(request, context)
    }
    router.post(RouterPath(Route.imageEdits)) { request, context in
      try await editImages(request, context)
    }
    addJobs(to: router)
    router.get(RouterPath(Route.models)) { _, _ in try await Response.json(ModelList(data: models))
    }
    router.get(RouterPath(Route.models + "/:id")) { _, context in
      try await model(named: context.parameters.get("id") ?? "")
    }
    addPeels(to: router)
    router.get(RouterPath(Route.status)) { _, context in
      try await Response.json(status(for: context.peer))
    }
    router.get(RouterPath(Route.health)) { _, _ in try Response.json(["status": "ok"]) }
    router.get(RouterPath(Route.ready)) { _, _ in try await ready() }
    router.get(RouterPath(Route.metrics)) { _, context in
      await metricsText(for: context.peer)
    }
    return router.buildResponder()
  }

  private var models: [ModelInfo] {
    get async {
      guard case .available(let engine, let created) = await model.state else { return [] }
      let info = ModelInfo(engine.model, created: created)
      let aliases = await scheduler.configuration.modelAliases.names(for: info.id)
      return [info]
        + aliases.map { alias in
          var other = info
          (other.id, other.aliasOf) = (alias, info.id)
          return other
        }
    }
  }

  /// - Parameter segment: The name as it is in the path, percent-encoded.
  private func model(named segment: String) async throws -> Response {
    let id = URLComponents(string: "/" + segment).map { String($0.path.dropFirst()) } ?? segment
    let known = await models
    if let info = known.first(where: { $0.id == id }) { return try .json(info) }
    throw await scheduler.configuration.modelAliases.notInstalled(
      id, installed: known.filter { $0.aliasOf == nil }.map(\.id))
  }

  private func ready() async throws -> Response {
    if await scheduler.snapshot(for: nil).isDraining { throw APIError(JobError.shuttingDown) }
    _ = try await model.engine()
    return try .json(["status": "ready"])
  }

  /// Whole steps of 64 MiB: less than that is what others' jobs and peels make.
  private static func coarse(_ bytes: Int) -> Int {
    let step = 64 << 20
    return (bytes / step + 1) * step
  }

  private func identity(of peer: Peer) -> DaemonStatus.Identity {
    if peer.isShared { return .shared }
    return namespace.isPartial ? .partial : .own
  }

  private func status(for peer: Peer) async -> DaemonStatus {
    let jobs = await scheduler.snapshot(for: peer)
    var facts = DaemonStatus.Model(id: nil, status: .unavailable, reason: nil)
    var backend: String?
    switch await model.state {
    case .opening: facts.reason = "The model is being opened."
    case .unavailable(let reason): facts.reason = reason
    case .available(let engine, _):
      facts = .init(id: engine.model.name, status: .available, reason: nil)
      backend = engine.model.backend
    }
    let isExact = peer.seesExactFigures
    func bytes(_ count: Int) -> Int { isExact ? count : Self.coarse(count) }
    return DaemonStatus(
      version: BananaVersion.current, pid: ProcessFacts.pid,
      uptimeSeconds: (ContinuousClock.now - started).seconds, socket: socketPath, model: facts,
      backend: backend, queueDepth: jobs.waitingJobs.values.reduce(0, +),
      queueCapacity: jobs.capacity, runningJobs: jobs.runningJobs, running: jobs.running,
      finishedJobs: isExact ? jobs.finishedJobs : jobs.ownFinishedJobs,
      connections: isExact ? connections.count : connections.count(of: peer.uid),
      memory: .init(
        residentBytes: ProcessFacts.residentBytes.map(bytes),
        availableBytes: memory.availableBytes.map(bytes)),
      thermal: heat.status, identity: identity(of: peer))
  }
}
