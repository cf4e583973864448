package import BananaAPI
import Synchronization

/// A bounded queue in front of the engine: one job is drawn at a time, first come, first served.
package actor JobScheduler {
  /// The moment's figures, for `/v1/status`.
  package struct Snapshot: Sendable {
    package var waitingJobs: Int
    package var capacity: Int
    package var running: DaemonStatus.RunningJob?
    package var finishedJobs: Int
    package var isDraining: Bool
  }

  private struct Entry {
    var id: Job.ID
    var request: PictureRequest
    var engine: any PictureEngine
    var events: AsyncStream<JobEvent>.Continuation
    var submitted: ContinuousClock.Instant

    func end(with event: JobEvent) {
      events.yield(event)
      events.finish()
    }
  }

  private struct Running {
    var entry: Entry
    var task: Task<Void, Never>
    var started: ContinuousClock.Instant
    var tracker: ProgressTracker
  }

  private let capacity: Int
  private var waiting: [Entry] = []
  private var running: Running?
  private var lastID = 0
  private var finishedJobs = 0
  private var isDraining = false
  private var idleWaiters: [CheckedContinuation<Void, Never>] = []
  /// Exponential average over the finished jobs; nil before the first.
  private var secondsPerJob: Double?

  /// - Parameter capacity: How many jobs may wait beside the one that runs, at least 1.
  package init(capacity: Int) {
    precondition(capacity >= 1)
    self.capacity = capacity
  }

  /// Takes a job in, or says at once that there is no room.
  /// - Throws: `JobError.busy` or `JobError.shuttingDown`.
  package func submit(
    _ request: PictureRequest, to engine: any PictureEngine
  ) throws(JobError) -> Job {
    guard !isDraining else { throw .shuttingDown }
    guard waiting.count < capacity else {
      throw .busy(waitingJobs: waiting.count, retryAfterSeconds: secondsUntilRoom)
    }
    lastID += 1
    let id = lastID
    let (events, continuation) = AsyncStream<JobEvent>.makeStream()
    continuation.onTermination = { [weak self] reason in
      guard case .cancelled = reason else { return }
      Task { [weak self] in await self?.cancel(id) }
    }
    waiting.append(
      Entry(id: id, request: request, engine: engine, events: continuation, submitted: .now))
    startNext()
    announcePositions()
    return Job(id: id, events: events)
  }

  /// Cancels a job that waits at once and one that runs between two of its steps; a job that has
  /// ended is left alone.
  package func cancel(_ id: Job.ID) {
    if let running, running.entry.id == id {
      running.task.cancel()
    } else if let index = waiting.firstIndex(where: { $0.id == id }) {
      waiting.remove(at: index).end(with: .failed(.engine(.cancelled)))
      announcePositions()
    }
  }

  /// Refuses new jobs, answers those that wait with `shuttingDown` and returns when the running one
  /// has ended.
  package func drain() async {
    isDraining = true
    for entry in waiting { entry.end(with: .failed(.shuttingDown)) }
    waiting.removeAll()
    guard running != nil else { return }
    await withCheckedContinuation { idleWaiters.append($0) }
  }

  package var snapshot: Snapshot {
    Snapshot(
      waitingJobs: waiting.count, capacity: capacity,
      running: running.map { running in
        DaemonStatus.RunningJob(
          id: running.entry.id, elapsedSeconds: (ContinuousClock.now - running.started).seconds,
          progress: running.tracker.latest)
      },
      finishedJobs: finishedJobs, isDraining: isDraining)
  }

  private var secondsUntilRoom: Int {
    let seconds = secondsPerJob ?? 5
    return Int(min(max(seconds.rounded(.up), 1), 300))
  }

  private func startNext() {
    guard running == nil, !waiting.isEmpty else { return }
    let entry = waiting.removeFirst()
    let started = ContinuousClock.now
    let tracker = ProgressTracker(started: started)
    let task = Task {
      let result = await Self.draw(entry, tracker: tracker)
      self.end(entry, started: started, result)
    }
    running = Running(entry: entry, task: task, started: started, tracker: tracker)
  }

  /// Outside of this actor, so that an engine that computes on the caller's executor cannot hold
  /// the scheduler up.
  @concurrent
  private static func draw(
    _ entry: Entry, tracker: ProgressTracker
  ) async -> Result<PictureResult, EngineError> {
    let result = Mutex<Result<PictureResult, EngineError>>(.failure(.cancelled))
    let box = ResultBox(result)
    await withTaskCancellationHandler {
      await entry.engine.generate([
        PictureJob(
          request: entry.request, isCancelled: { box.isCancelled.withLock { $0 } },
          progress: { entry.events.yield(.progress(tracker.update($0))) }, preview: { _ in },
          finish: { result in box.result.withLock { $0 = result } })
      ])
    } onCancel: {
      box.isCancelled.withLock { $0 = true }
    }
    return box.result.withLock { $0 }
  }

  private final class ResultBox: Sendable {
    let result: Mutex<Result<PictureResult, EngineError>>
    let isCancelled = Mutex(false)
    init(_ result: consuming sending Mutex<Result<PictureResult, EngineError>>) {
      self.result = result
    }
  }

  private func end(
    _ entry: Entry, started: ContinuousClock.Instant, _ result: Result<PictureResult, EngineError>
  ) {
    switch result {
    case .success(let pictures):
      finishedJobs += 1
      let seconds = (ContinuousClock.now - started).seconds
      secondsPerJob = secondsPerJob.map { 0.7 * $0 + 0.3 * seconds } ?? seconds
      let queueSeconds = (started - entry.submitted).seconds
      entry.end(with: .finished(pictures, queueSeconds: queueSeconds))
    case .failure(let error):
      entry.end(with: .failed(.engine(error)))
    }
    running = nil
    startNext()
    announcePositions()
    if running == nil {
      for waiter in idleWaiters { waiter.resume() }
      idleWaiters.removeAll()
    }
  }

  private func announcePositions() {
    for (index, entry) in waiting.enumerated() {
      entry.events.yield(.waiting(jobsAhead: index + 1))
    }
  }
}

extension Duration {
  /// The duration in seconds.
  package var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
