package import BananaAPI

/// Looking at jobs, and their ends.
extension JobScheduler {
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
    let now = ContinuousClock.now
    let order = queue.order(now: now)
    let places = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    let waiting = queue.elements.map {
      $0.info(state: .waiting, jobsAhead: running.count + places[$0.id, default: 0])
    }
    // What others have kept costs nobody who may not see it anything.
    let kept = store.entries(of: peer.isAdmin ? nil : peer.account, now: now).map(\.info)
    return (kept + running.map(runningInfo) + waiting).filter { peer.owns($0.uid) }
      .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }

  package func info(of id: Job.ID, for peer: Peer) -> JobInfo? {
    let info: JobInfo?
    if let job = running.first(where: { $0.id == id }) {
      info = runningInfo(job)
    } else if let job = find(id) {
      let place = queue.order(now: .now).firstIndex(of: id) ?? 0
      info = job.info(state: .waiting, jobsAhead: running.count + place)
    } else {
      info = store.entry(id, now: .now)?.info
    }
    return info.flatMap { peer.owns($0.uid) ? $0 : nil }
  }

  /// What a stored job ended with, after waiting for its end; nil when the peer has no such job or
  /// its result is not kept.
  package func result(
    of id: Job.ID, for peer: Peer
  ) async -> Result<ImageGenerationResponse, JobError>? {
    if let job = find(id), peer.owns(job.uid), job.submission.isStored {
      await end(of: id)
    }
    guard let entry = store.entry(id, now: .now), peer.owns(entry.info.uid) else {
      return nil
    }
    return entry.outcome
  }

  /// Returns when the job has ended, or when the task is cancelled.
  private func end(of id: Job.ID) async {
    lastResultWaiter += 1
    let number = lastResultWaiter
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled { return continuation.resume() }
        resultWaiters[id, default: [:]][number] = continuation
      }
    } onCancel: {
      Task { await self.stopWaiting(number, for: id) }
    }
  }

  private func stopWaiting(_ number: Int, for id: Job.ID) {
    resultWaiters[id]?.removeValue(forKey: number)?.resume()
    if resultWaiters[id]?.isEmpty == true { resultWaiters[id] = nil }
  }

  /// Clients that wait for results.
  package var resultWaiterCount: Int { resultWaiters.values.reduce(0) { $0 + $1.count } }

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
      ownFinishedJobs: peer.map {
        $0.isShared ? 0 : finishedJobsByUID[$0.account]?[$0.uid] ?? 0
      } ?? 0,
      storedResults: store.count,
      limits: throttle.limits, isDraining: isDraining)
  }

  /// Refuses new jobs, answers those that wait to begin with `shuttingDown` and returns when the
  /// others have ended.
  package func drain() async {
    isDraining = true
    // What was begun is finished, be it in another turn.
    let begun = Set(queue.elements.filter { $0.started != nil }.map(\.id))
    for id in queue.order(now: .now) where !begun.contains(id) { stop(id, .shuttingDown) }
    guard isDrawing else { return }
    await withCheckedContinuation { idleWaiters.append($0) }
  }

  func find(_ id: Job.ID) -> QueuedJob? {
    running.first { $0.id == id } ?? queue.elements.first { $0.id == id }
  }

  func runningInfo(_ job: QueuedJob) -> JobInfo {
    job.info(state: job.stop.value == nil ? .running : .cancelling)
  }

  func stop(_ id: Job.ID, _ error: JobError) {
    if let job = running.first(where: { $0.id == id }) {
      job.stop.set(error)
    } else if let job = queue.remove(id) {
      close(job, .failure(error))
      updateTurn()
      announcePositions()
    }
  }

  func announcePositions() {
    var events: [Job.ID: JobMailbox] = [:]
    for job in queue.elements where job.submission.isStreamed && job.started == nil {
      events[job.id] = job.events
    }
    if events.isEmpty { return }
    for (index, id) in queue.order(now: .now).enumerated() {
      events[id]?.yield(.waiting(jobsAhead: running.count + index))
    }
  }

  /// The end of every job that was taken in.
  func close(_ job: QueuedJob, _ outcome: Result<ImageGenerationResponse, JobError>) {
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
      sweepResults()
    }
    job.end(outcome)
    for waiter in (resultWaiters.removeValue(forKey: job.id) ?? [:]).values { waiter.resume() }
  }

  /// Forgets results when they are old, as long as there are any.
  private func sweepResults() {
    guard !isSweeping, let end = store.firstEnd else { return }
    isSweeping = true
    Task { [weak self] in
      try? await Task.sleep(until: end)
      await self?.forgetOldResults()
    }
  }

  private func forgetOldResults() {
    isSweeping = false
    store.removeOld(now: .now)
    // The heap was given back after the last picture; what these answers had was not free then.
    if store.count == 0, activity.isIdle { Allocator.trim() }
    sweepResults()
  }
}
