package import BananaAPI

/// A bounded queue in front of the engine: fair between users, jobs of one shape drawn together.
///
/// One batch is drawn at a time. What a batch takes at its peak must fit into the memory that is
/// free when it begins.
package actor JobScheduler {
  /// The moment's figures, for `/v1/status` and `/metrics`.
  package struct Snapshot: Sendable {
    package var waitingJobs: [JobPriority: Int]
    package var capacity: Int
    package var runningJobs: Int
    /// The first that runs and that the peer may see.
    package var running: DaemonStatus.RunningJob?
    package var finishedJobs: Int
    /// Those of them that are the peer's.
    package var ownFinishedJobs: Int
    package var storedResults: Int
    /// What the governor allows.
    package var limits: EngineLimits
    package var isDraining: Bool
  }

  package private(set) var configuration: DaemonConfiguration
  private let availableBytes: @Sendable () -> Int?
  private let metrics: MetricsRegistry
  private let throttle: EngineThrottle
  private let activity: EngineActivity
  private var queue: FairQueue<QueuedJob>
  private var quotas = QuotaBook()
  private var store = ResultStore()
  private var running: [QueuedJob] = []
  private var isDrawing = false
  private var finishedJobs = 0
  private var finishedJobsByUID: [UInt32: Int] = [:]
  private var isDraining = false
  private var idleWaiters: [CheckedContinuation<Void, Never>] = []
  private var resultWaiters: [Job.ID: [CheckedContinuation<Void, Never>]] = [:]
  /// Exponential average over the batches, for each of their jobs; nil before the first.
  private var secondsPerJob: Double?

  /// - Parameter availableBytes: What is free for new work on the machine; nil when unknown, which
  ///   admits everything.
  package init(
    configuration: DaemonConfiguration, metrics: MetricsRegistry = MetricsRegistry(),
    activity: EngineActivity = EngineActivity(),
    availableBytes: @escaping @Sendable () -> Int? = { MemoryFacts().availableBytes }
  ) {
    self.configuration = configuration
    self.metrics = metrics
    self.activity = activity
    self.availableBytes = availableBytes
    throttle = EngineThrottle(full: configuration.limits)
    queue = FairQueue(ageing: configuration.ageing)
  }

  /// Takes on new settings; jobs that were taken in stay so.
  package func apply(_ configuration: DaemonConfiguration) {
    self.configuration = configuration
    queue.ageing = configuration.ageing
  }

  /// What the governor allows from the next step on; any thread may call it.
  nonisolated package func apply(_ limits: EngineLimits) {
    throttle.apply(limits)
  }

  // MARK: Taking in

  /// Takes a job in, or says at once why not.
  /// - Throws: `JobError.busy`, `.quotaExceeded` or `.shuttingDown`.
  package func submit(
    _ submission: Submission, to engine: any PictureEngine
  ) throws(JobError) -> Job {
    let (events, continuation) = AsyncStream<JobEvent>.makeStream()
    // Twelve digits, so that nobody comes upon another's by chance.
    let id = "job-" + String(UInt64.random(in: (1 << 60)...UInt64.max), radix: 36)
    var job = QueuedJob(
      id: id, submission: submission, key: engine.batchKey(for: submission.request),
      engine: engine, events: continuation, submitted: .now)
    do throws(JobError) { try admit(job) } catch {
      metrics.count(.outcomes, ["code": APIError(error).code.rawValue])
      throw error
    }
    continuation.onTermination = { [weak self] reason in
      guard case .cancelled = reason else { return }
      Task { [weak self] in await self?.clientLeft(id) }
    }
    job.timer = submission.deadlineSeconds.map { startTimer(id, seconds: $0) }
    queue.append(
      .init(
        id: id, account: job.account, priority: submission.priority, work: job.work,
        arrival: job.submitted, element: job))
    if isDrawing { announcePositions() } else { drawNext() }
    return Job(id: id, events: events)
  }

  private func admit(_ job: QueuedJob) throws(JobError) {
    guard !isDraining else { throw .shuttingDown }
    guard queue.count < configuration.waitingJobs, hasRoom(forBytes: job.heldBytes) else {
      throw .busy(waitingJobs: queue.count, retryAfterSeconds: secondsUntilRoom)
    }
    guard !job.submission.peer.isExemptFromQuotas else { return }
    let waiting = queue.count(of: job.account)
    let holding = QuotaBook.Holding(
      waitingJobs: waiting, unfinishedJobs: waiting + running.count { $0.account == job.account },
      queueCapacity: configuration.waitingJobs, secondsUntilRoom: secondsUntilRoom)
    do throws(QuotaRefusal) {
      try quotas.charge(
        job.account, pixels: job.pixels, holding: holding, configuration.quotas, now: job.submitted)
    } catch { throw .quotaExceeded(error) }
  }

  /// Whether the images of an edit may wait in memory beside those of the others.
  private func hasRoom(forBytes bytes: Int) -> Bool {
    bytes == 0
      || queue.elements.reduce(bytes) { $0 + $1.heldBytes } <= DaemonConfiguration.heldBytes
  }

  private func startTimer(_ id: Job.ID, seconds: Double) -> Task<Void, Never> {
    Task { [weak self] in
      guard (try? await Task.sleep(for: .seconds(seconds))) != nil else { return }
      await self?.stop(id, .deadlineExceeded(seconds: seconds))
    }
  }

  private var secondsUntilRoom: Int {
    Int(min(max((secondsPerJob ?? 5).rounded(.up), 1), 300))
  }

  // MARK: Looking and ending

  /// What a client's going away means: the end of its job unless that is stored.
  package func clientLeft(_ id: Job.ID) {
    guard find(id)?.submission.isStored == false else { return }
    stop(id, .engine(.cancelled))
  }

  /// Cancels a job that waits at once and one that runs between two of its steps; forgets the
  /// result of one that has ended.
  /// - Returns: The job as it is now, or nil when the peer has no such job.
  package func cancel(_ id: Job.ID, for peer: Peer) -> JobInfo? {
    guard let info = info(of: id, for: peer) else { return nil }
    let job = find(id)
    stop(id, .engine(.cancelled))
    store.remove(id)
    guard let job else { return info }
    if running.contains(where: { $0.id == id }) { return self.info(of: id, for: peer) }
    var ended = job.info(state: .failed)
    ended.error = APIError(EngineError.cancelled)
    return ended
  }

  /// The peer's jobs that wait, run or are kept; everybody's for an admin.
  package func jobs(for peer: Peer) -> [JobInfo] {
    store.removeOld(now: .now)
    let order = queue.order(now: .now)
    let places = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    let waiting = queue.elements.map {
      $0.info(state: .waiting, jobsAhead: running.count + places[$0.id, default: 0])
    }
    let all = store.entries.map(\.info) + running.map(runningInfo) + waiting
    return all.filter { peer.owns($0.uid) }
      .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }

  package func info(of id: Job.ID, for peer: Peer) -> JobInfo? {
    jobs(for: peer).first { $0.id == id }
  }

  /// What a stored job ended with, after waiting for its end; nil when the peer has no such job or
  /// its result is not kept.
  package func result(
    of id: Job.ID, for peer: Peer
  ) async -> Result<ImageGenerationResponse, JobError>? {
    if let job = find(id), peer.owns(job.uid), job.submission.isStored {
      await withCheckedContinuation { resultWaiters[id, default: []].append($0) }
    }
    store.removeOld(now: .now)
    guard let entry = store.entry(id), peer.owns(entry.info.uid) else {
      return nil
    }
    return entry.outcome
  }

  /// - Parameter peer: Whose job may be shown; nil shows none.
  package func snapshot(for peer: Peer?) -> Snapshot {
    let visible = running.first { peer?.owns($0.uid) == true }
    return Snapshot(
      waitingJobs: Dictionary(
        grouping: queue.elements, by: \.submission.priority
      ).mapValues(\.count),
      capacity: configuration.waitingJobs, runningJobs: running.count,
      running: visible.map { job in
        DaemonStatus.RunningJob(
          id: job.id, elapsedSeconds: (ContinuousClock.now - (job.started ?? .now)).seconds,
          progress: job.tracker?.latest)
      },
      finishedJobs: finishedJobs,
      ownFinishedJobs: peer.map { $0.isShared ? 0 : finishedJobsByUID[$0.uid, default: 0] } ?? 0,
      storedResults: store.entries.count,
      limits: throttle.limits, isDraining: isDraining)
  }

  /// Refuses new jobs, answers those that wait with `shuttingDown` and returns when the running
  /// ones have ended.
  package func drain() async {
    isDraining = true
    for id in queue.order(now: .now) { stop(id, .shuttingDown) }
    guard isDrawing else { return }
    await withCheckedContinuation { idleWaiters.append($0) }
  }

  private func find(_ id: Job.ID) -> QueuedJob? {
    running.first { $0.id == id } ?? queue.elements.first { $0.id == id }
  }

  private func runningInfo(_ job: QueuedJob) -> JobInfo {
    job.info(state: job.stop.value == nil ? .running : .cancelling)
  }

  private func stop(_ id: Job.ID, _ error: JobError) {
    if let job = running.first(where: { $0.id == id }) {
      job.stop.set(error)
    } else if let job = queue.remove(id) {
      close(job, .failure(error))
      announcePositions()
    }
  }

  private func announcePositions() {
    guard queue.elements.contains(where: \.submission.isStreamed) else { return }
    var events: [Job.ID: AsyncStream<JobEvent>.Continuation] = [:]
    for job in queue.elements where job.submission.isStreamed { events[job.id] = job.events }
    for (index, id) in queue.order(now: .now).enumerated() {
      events[id]?.yield(.waiting(jobsAhead: running.count + index))
    }
  }

  // MARK: Drawing

  private func drawNext() {
    isDrawing = true
    Task { await self.drawAll() }
  }

  private func drawAll() async {
    while let item = queue.popNext(now: .now) {
      await drawBatch(item)
    }
    isDrawing = false
    for waiter in idleWaiters { waiter.resume() }
    idleWaiters.removeAll()
  }

  private func drawBatch(_ lead: FairQueue<QueuedJob>.Item) async {
    let began = ContinuousClock.now
    let engine = lead.element.engine
    let level = queue.level(lead, now: began)
    begin(lead.element, at: began)
    switch await pass(for: lead.element.key, of: engine) {
    case .failure(let error): return finish(lead.id, .failure(error))
    case .success(let pictures): throttle.begin(engine, admittedBatch: pictures)
    }
    let room = throttle.batch
    // Whoever rides along may not be less urgent than the job that it slows down.
    var pictures = lead.element.request.count
    while let rider = queue.popNext(
      now: began,
      where: { item, itsLevel in
        itsLevel <= level && item.element.key == lead.element.key
          && pictures + item.element.request.count <= room
      })
    {
      pictures += rider.element.request.count
      begin(rider.element, at: began)
    }
    announcePositions()
    metrics.observe(.batchJobs, value: Double(running.count))
    metrics.observe(.batchPictures, value: Double(min(pictures, room)))
    let jobs = running.count
    await draw(running, with: engine)
    let seconds = (ContinuousClock.now - began).seconds / Double(jobs)
    secondsPerJob = secondsPerJob.map { 0.7 * $0 + 0.3 * seconds } ?? seconds
  }

  private func begin(_ job: QueuedJob, at now: ContinuousClock.Instant) {
    var job = job
    job.started = now
    job.tracker = ProgressTracker(started: now, job: job.id)
    running.append(job)
  }

  /// How many pictures of a key fit into memory in one pass; caches are given up for the first.
  private func pass(
    for key: BatchKey, of engine: any PictureEngine
  ) async -> Result<Int, EngineError> {
    var pictures = throttle.limits.batch
    var hasReleased = false
    while true {
      let needed = await engine.peakBytes(for: key, pictures: pictures)
      guard let available = availableBytes(), needed > available else { return .success(pictures) }
      if pictures > 1 {
        pictures /= 2
      } else if !hasReleased {
        hasReleased = true
        await engine.release(.idlePlans)
      } else {
        return .failure(.insufficientMemory(neededBytes: needed, availableBytes: available))
      }
    }
  }

  private func draw(_ jobs: [QueuedJob], with engine: any PictureEngine) async {
    typealias End = (id: Job.ID, result: Result<PictureResult, EngineError>)
    let (ends, continuation) = AsyncStream<End>.makeStream()
    let pictureJobs = jobs.map { job in
      PictureJob(
        request: job.request, isCancelled: { job.stop.value != nil },
        progress: { [activity, events = job.events, tracker = job.tracker] progress in
          activity.advance()
          guard let update = tracker?.update(progress), job.submission.isStreamed else { return }
          events.yield(.progress(update))
        },
        preview: { [events = job.events] in events.yield(.preview($0)) },
        finish: { continuation.yield((job.id, $0)) })
    }
    activity.begin()
    Task { @concurrent [activity] in
      await engine.generate(pictureJobs)
      activity.end()
      continuation.finish()
    }
    for await end in ends { finish(end.id, end.result) }
    for job in running {
      finish(job.id, .failure(.failed(message: "The engine lost the job. Try again.")))
    }
  }

  private func finish(_ id: Job.ID, _ result: Result<PictureResult, EngineError>) {
    guard let index = running.firstIndex(where: { $0.id == id }) else { return }
    let job = running.remove(at: index)
    let started = job.started ?? .now
    switch result {
    case .success(let pictures):
      finishedJobs += 1
      // Who makes uids up shall not fill memory with them.
      if finishedJobsByUID.count >= 4096 { finishedJobsByUID.removeAll() }
      finishedJobsByUID[job.uid, default: 0] += 1
      let facts = JobFacts(
        id: id, queueSeconds: (started - job.submitted).seconds,
        isThermalLimited: throttle.wasLimited)
      for (stage, seconds) in pictures.secondsByStage {
        metrics.observe(.stageSeconds, ["stage": stage.rawValue], value: seconds)
      }
      metrics.observe(.stageSeconds, ["stage": "queue"], value: facts.queueSeconds)
      metrics.count(.pictures, [:], by: Double(job.request.count))
      close(job, .success(job.submission.answer(pictures, facts)))
    case .failure(let error):
      let done = job.tracker?.fraction ?? 0
      queue.refund(job.work * (1 - done), to: job.account)
      close(job, .failure(error == .cancelled ? job.stop.value ?? .engine(error) : .engine(error)))
    }
  }

  /// The end of every job that was taken in.
  private func close(_ job: QueuedJob, _ outcome: Result<ImageGenerationResponse, JobError>) {
    var info = job.info(state: .finished)
    info.progress = nil
    var code = "ok"
    if case .failure(let error) = outcome {
      let error = APIError(error)
      info.state = .failed
      info.error = error
      code = error.code.rawValue
      quotas.refund(job.account, pixels: job.pixels)
    }
    metrics.count(.outcomes, ["code": code])
    if job.submission.isStored {
      let keeps = configuration.resultSeconds
      store.keep(
        .init(account: job.account, info: info, outcome: outcome, ends: .now + .seconds(keeps)),
        maximumBytes: configuration.resultBytes)
      Task { [weak self] in
        try? await Task.sleep(for: .seconds(keeps))
        await self?.forgetOldResults()
      }
    }
    job.end(outcome)
    for waiter in resultWaiters.removeValue(forKey: job.id) ?? [] { waiter.resume() }
  }

  private func forgetOldResults() {
    store.removeOld(now: .now)
  }
}
