import BananaAPI
import Diffusion

/// Drawing, turn by turn.
extension JobScheduler {
  func drawNext() {
    isDrawing = true
    Task { await self.drawAll() }
  }

  private func drawAll() async {
    while let item = queue.popNext(now: .now) {
      await takeTurn(item)
    }
    isDrawing = false
    for waiter in idleWaiters { waiter.resume() }
    idleWaiters.removeAll()
  }

  /// Draws a job, and others that can be drawn in the same steps, until they are done or the turn
  /// is over.
  private func takeTurn(_ lead: FairQueue<QueuedJob>.Item) async {
    let began = ContinuousClock.now
    let lease = lead.element.lease
    clock.start()
    turn = Turn(began: began, level: queue.level(lead, now: began))
    begin(lead, at: began)
    updateTurn()
    var seconds: [Double]
    switch await pass(for: lead.element.key, of: lease) {
    case .failure(let error):
      finish(lead.id, .failure(error))
      seconds = [(ContinuousClock.now - began).seconds]
    case .success(let pictures):
      throttle.begin(lease.engine, admittedBatch: pictures)
      let planning = (ContinuousClock.now - began).seconds
      beginRiders(of: lead)
      seconds = await draw(running, with: lease.engine)
      seconds[0] += planning
      throttle.end()
    }
    end(seconds)
  }

  private func begin(_ item: FairQueue<QueuedJob>.Item, at now: ContinuousClock.Instant) {
    var item = item
    item.element.begin(at: now)
    turn?.add(item)
    running.append(item.element)
  }

  private func beginRiders(of lead: FairQueue<QueuedJob>.Item) {
    let now = ContinuousClock.now
    let room = throttle.batch
    var pictures = lead.element.request.count
    while let rider = queue.popRider(
      with: lead, now: now,
      where: {
        $0.element.key == lead.element.key && pictures + $0.element.request.count <= room
      })
    {
      pictures += rider.element.request.count
      begin(rider, at: now)
    }
    updateTurn()
    announcePositions()
    metrics.observe(.batchJobs, value: Double(running.count))
    metrics.observe(.batchPictures, value: Double(min(pictures, room)))
  }

  /// Lets the turn end in time once somebody waits for that, and no sooner.
  func updateTurn() {
    guard let turn else { return }
    let now = ContinuousClock.now
    self.turn?.accrue(at: now, in: &queue)
    let left = queue.secondsLeft(
      to: Set(running.map(\.account)), level: turn.level, now: now)
    if left != nil { self.turn?.noteRival() }
    clock.set(end: left.map { min(turn.began + configuration.turn, now + .seconds($0)) })
  }

  /// Charges what the jobs of the turn took, and puts back those that are not done.
  private func end(_ seconds: [Double]) {
    guard let turn else { return }
    self.turn = nil
    let unfinished = running
    running = []
    for (member, seconds) in zip(turn.members, seconds) {
      var item = member.item
      let job = unfinished.first { $0.id == item.id }
      queue.settle(&item, seconds: seconds, charged: member.charged, isDone: job == nil)
      guard var job else { continue }
      if let reason = job.stop.value {
        close(job, .failure(reason))
      } else if clock.hasEnded {
        job.queued = .now
        job.isThermalLimited = job.isThermalLimited || throttle.wasLimited
        item.element = job
        queue.append(item)
      } else {
        close(job, .failure(.engine(.lost)))
      }
    }
    let total = seconds.reduce(0, +)
    if let chargedAlone = turn.chargedAlone {
      queue.note(turnSeconds: max(total - chargedAlone, 0))
    }
    pace.note(seconds: total, doneJobs: turn.members.count - unfinished.count)
  }

  /// How many pictures of a key fit into memory in one pass, weights included; caches and other
  /// models are given up for the first.
  private func pass(
    for key: BatchKey, of lease: ModelLease
  ) async -> Result<Int, EngineError> {
    let engine = lease.engine
    var pictures = throttle.limits.batch
    var hasReleased = false
    while true {
      let needed = lease.mappedBytes + (await engine.peakBytes(for: key, pictures: pictures))
      guard let available = availableBytes(), needed > available else { return .success(pictures) }
      if pictures > 1 {
        pictures /= 2
      } else if !hasReleased {
        hasReleased = true
        await engine.release(.idlePlans)
      } else if await lease.giveRoom() {
        continue
      } else {
        return .failure(.insufficientMemory(neededBytes: needed, availableBytes: available))
      }
    }
  }

  /// - Returns: The seconds of the engine that each job took.
  private func draw(_ jobs: [QueuedJob], with engine: any PictureEngine) async -> [Double] {
    typealias End = (id: Job.ID, result: Result<PictureResult, EngineError>)
    let (ends, continuation) = AsyncStream<End>.makeStream()
    let pictureJobs = jobs.map { job in
      PictureJob(
        request: job.request, state: job.engineState, isCancelled: { job.stop.value != nil },
        progress: { [activity, events = job.events, tracker = job.tracker] progress in
          activity.advance()
          guard let update = tracker?.update(progress), job.submission.isStreamed else { return }
          events.yield(.progress(update))
        },
        preview: { [events = job.events] in events.yield(.preview($0)) },
        finish: { continuation.yield((job.id, $0)) })
    }
    activity.begin()
    let drawing = Task { @concurrent [activity, clock] in
      let seconds = await engine.generate(pictureJobs, yields: { clock.isOver() })
      activity.end()
      continuation.finish()
      return seconds
    }
    for await end in ends { finish(end.id, end.result) }
    return await drawing.value
  }

  /// Who makes uids up shall not fill memory with them, nor have others' forgotten.
  private func noteFinished(_ job: QueuedJob) {
    var own = finishedJobsByUID[job.account, default: [:]]
    if own.count >= 256, own[job.uid] == nil { own.removeAll() }
    own[job.uid, default: 0] += 1
    finishedJobsByUID[job.account] = own
  }

  private func finish(_ id: Job.ID, _ result: Result<PictureResult, EngineError>) {
    guard let index = running.firstIndex(where: { $0.id == id }) else { return }
    let job = running.remove(at: index)
    updateTurn()
    switch result {
    case .success(let pictures):
      finishedJobs += 1
      noteFinished(job)
      let facts = JobFacts(
        id: id, queueSeconds: job.queueSeconds,
        isThermalLimited: job.isThermalLimited || throttle.wasLimited)
      for (stage, seconds) in pictures.secondsByStage {
        metrics.observe(.stageSeconds, ["stage": stage.rawValue], value: seconds)
      }
      metrics.observe(.stageSeconds, ["stage": "queue"], value: facts.queueSeconds)
      metrics.count(.pictures, [:], by: Double(job.request.count))
      close(job, .success(job.submission.answer(pictures, facts)))
    case .failure(let error):
      close(job, .failure(error == .cancelled ? job.stop.value ?? .engine(error) : .engine(error)))
    }
  }
}
