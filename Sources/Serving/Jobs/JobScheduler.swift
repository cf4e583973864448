import BananaAPI

/// A bounded queue in front of the engine: fair between accounts, jobs of one shape drawn together.
///
/// The engine is lent in turns, one at a time. While others wait, a turn lasts no longer than
/// `DaemonConfiguration.turn` and the piece of work that is under way then; jobs that are not done
/// go back to the queue and on from where they were. What a turn takes at its peak must fit into
/// the memory that is free when it begins.
package actor JobScheduler {
  package private(set) var configuration: DaemonConfiguration
  let availableBytes: @Sendable () -> Int?
  let metrics: MetricsRegistry
  let throttle: EngineThrottle
  let activity: EngineActivity
  let clock = TurnClock()
  var queue: FairQueue<QueuedJob>
  var store = ResultStore()
  var quotas = QuotaBook()
  /// Drawn at the moment.
  var running: [QueuedJob] = []
  /// The turn that they have.
  var turn: Turn?
  var isDrawing = false
  var finishedJobs = 0
  var finishedJobsByUID: [Account: [UInt32: Int]] = [:]
  var isDraining = false
  var idleWaiters: [CheckedContinuation<Void, Never>] = []
  var resultWaiters: [Job.ID: [Int: CheckedContinuation<Void, Never>]] = [:]
  var lastResultWaiter = 0
  /// Whether results are looked through when the first of them is old.
  var isSweeping = false
  var pace = JobPace()

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
    queue = FairQueue(ageing: configuration.ageing, shortestTurn: configuration.turn.seconds)
  }

  /// Takes on new settings; jobs that were taken in stay so.
  package func apply(_ configuration: DaemonConfiguration) {
    self.configuration = configuration
    queue.ageing = configuration.ageing
    queue.shortestTurn = configuration.turn.seconds
    updateTurn()
  }

  /// What the governor allows from the next step on; any thread may call it.
  nonisolated package func apply(_ limits: EngineLimits) {
    throttle.apply(limits)
  }

  /// Ends turns as soon as they can while an engine that is new needs the engines' thread.
  nonisolated package func makeWay(_ isWanted: Bool) {
    clock.interrupt(isWanted)
  }

  /// Takes a job in, or says at once why not.
  /// - Parameter key: The request's. Its engine makes it, which takes time for a long prompt: not
  ///   here, where everybody waits.
  /// - Throws: `JobError.busy`, `.quotaExceeded` or `.shuttingDown`.
  package func submit(
    _ submission: Submission, to lease: ModelLease, key: BatchKey
  ) throws(JobError) -> Job {
    // Twelve digits, so that nobody comes upon another's by chance.
    let id = "job-" + String(UInt64.random(in: (1 << 60)...UInt64.max), radix: 36)
    let (mailbox, events) = JobMailbox.make(submission.room) { [weak self] in
      Task { [weak self] in await self?.clientLeft(id) }
    }
    var job = QueuedJob(
      id: id, submission: submission, key: key, lease: lease, events: mailbox, submitted: .now)
    do throws(JobError) { try admit(job) } catch {
      metrics.count(.outcomes, ["code": APIError(error).code.rawValue])
      throw error
    }
    job.timer = submission.deadlineSeconds.map { startTimer(id, seconds: $0) }
    turn?.accrue(at: .now, in: &queue)
    queue.append(
      .init(
        id: id, account: job.account, priority: submission.priority, work: job.work,
        arrival: job.submitted, element: job))
    updateTurn()
    if isDrawing { announcePositions() } else { drawNext() }
    return Job(id: id, events: events)
  }

  private func admit(_ job: QueuedJob) throws(JobError) {
    try checkRoom(for: job.submission.peer)
    if job.heldBytes > 0 { try admitImages(of: job) }
    guard !job.submission.peer.isExemptFromQuotas else { return }
    do throws(QuotaRefusal) {
      try quotas.charge(
        job.account, pixels: job.pixels, holding: holding(of: job.account), configuration.quotas,
        now: job.submitted)
    } catch { throw .quotaExceeded(error) }
  }

  /// Whether there is a place for a job, whatever it draws; to be asked before anything is read for
  /// it that takes time.
  package func checkRoom(for peer: Peer) throws(JobError) {
    guard !isDraining else { throw .shuttingDown }
    // A queue that others have filled leaves a place for everybody who has none.
    let capacity = configuration.waitingJobs * (queue.count(of: peer.account) == 0 ? 2 : 1)
    guard queue.count < capacity else { throw busy }
    guard !peer.isExemptFromQuotas else { return }
    do throws(QuotaRefusal) {
      try QuotaBook.check(peer.account, holding: holding(of: peer.account), configuration.quotas)
    } catch { throw .quotaExceeded(error) }
  }

  /// Charges an account for processor time that its requests took outside the engine: whoever lets
  /// large images be read has so much less of the engine.
  package func charge(_ account: Account, seconds: Double) {
    queue.charge(account, seconds: seconds)
    updateTurn()
  }

  private func holding(of account: Account) -> QuotaBook.Holding {
    let waiting = queue.count(of: account)
    return QuotaBook.Holding(
      waitingJobs: waiting, unfinishedJobs: waiting + running.count { $0.account == account },
      queueCapacity: configuration.waitingJobs, secondsUntilRoom: pace.secondsPerJob)
  }

  /// Whether the images of an edit may wait in memory: within the account's share, and beside those
  /// of the others, who leave room for one of everybody who has none.
  private func admitImages(of job: QueuedJob) throws(JobError) {
    let own = queue.elements(of: job.account).reduce(0) { $0 + $1.heldBytes }
    let all = queue.elements.reduce(job.heldBytes) { $0 + $1.heldBytes }
    let room = configuration.waitingImageBytes
    if own > 0, own + job.heldBytes > room / 4, !job.submission.peer.isExemptFromQuotas {
      throw .quotaExceeded(
        QuotaRefusal(
          quota: .waitingImageBytes(room / 4), account: job.account,
          retryAfterSeconds: pace.secondsPerJob))
    }
    if all > room * (own == 0 ? 2 : 1) { throw busy }
  }

  private var busy: JobError {
    .busy(waitingJobs: queue.count, retryAfterSeconds: pace.secondsPerJob)
  }

  private func startTimer(_ id: Job.ID, seconds: Double) -> Task<Void, Never> {
    Task { [weak self] in
      guard (try? await Task.sleep(for: .seconds(seconds))) != nil else { return }
      await self?.stop(id, .deadlineExceeded(seconds: seconds))
    }
  }
}

/// How long a job usually takes, as an advice to who has to wait for room.
struct JobPace {
  /// Exponential average; nil before the first.
  private var average: Double?
  /// Of turns in which no job was done.
  private var seconds = 0.0

  /// Whole seconds, 1...300.
  var secondsPerJob: Int { Int(min(max((average ?? 5).rounded(.up), 1), 300)) }

  mutating func note(seconds: Double, doneJobs: Int) {
    self.seconds += seconds
    guard doneJobs > 0 else { return }
    let sample = self.seconds / Double(doneJobs)
    self.seconds = 0
    average = average.map { 0.7 * $0 + 0.3 * sample } ?? sample
  }
}
