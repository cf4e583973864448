import BananaAPI
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import Serving

/// What the routes answer from.
struct DaemonRoutes: Sendable {
  let models: ModelLibrary
  let scheduler: JobScheduler
  let peels: PeelRegistry
  let connections: ConnectionRegistry
  let complaints: ComplaintLog
  /// For what no quota measures.
  let background: BackgroundWork<Account>
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
    addModels(to: router)
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

  private func ready() async throws -> Response {
    if await scheduler.snapshot(for: nil).isDraining { throw APIError(JobError.shuttingDown) }
    // One that was closed for another model opens when it is wanted, and not because of this.
    if let report = models.defaultReport, report.state == .closed, report.description != nil {
      return try .json(["status": "ready"])
    }
    do throws(ModelLibraryError) { _ = try await models.lease(nil) } catch {
      throw APIError(error)
    }
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
    let isExact = peer.seesExactFigures
    func bytes(_ count: Int) -> Int { isExact ? count : Self.coarse(count) }
    return DaemonStatus(
      version: BananaVersion.current, pid: ProcessFacts.pid,
      uptimeSeconds: (ContinuousClock.now - started).seconds, socket: socketPath,
      model: models.defaultStatus, models: models.reports.map { .init($0) },
      backend: models.backend, queueDepth: jobs.waitingJobs.values.reduce(0, +),
      queueCapacity: jobs.capacity, runningJobs: jobs.runningJobs, running: jobs.running,
      finishedJobs: isExact ? jobs.finishedJobs : jobs.ownFinishedJobs,
      connections: isExact ? connections.count : connections.count(of: peer.uid),
      memory: .init(
        residentBytes: ProcessFacts.residentBytes.map(bytes),
        availableBytes: memory.availableBytes.map(bytes)),
      thermal: heat.status, identity: identity(of: peer))
  }
}
