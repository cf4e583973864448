import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Models
import Serving
import Testing

/// `JobScheduler` against a model of who is taken in, who waits and how each job ends, over random
/// histories that a seed repeats.
@Suite(.timeLimit(.minutes(5))) struct SchedulerModelTests {
  @Test(arguments: 1...8 as ClosedRange<UInt64>) func nothingIsLostAndNothingTwice(
    _ seed: UInt64
  ) async throws {
    let history = History(seed: seed)
    for _ in 0..<3 {
      await history.whileTheEngineIsHeld(steps: 40)
      await history.release()
    }
    await history.drain()
  }
}

/// What happened to the jobs of one scheduler by now.
private final class History {
  private static let waitingJobs = 6
  private static let concurrentJobs = 4
  private static let pixelsPerDay = 40 * 256 * 256
  private static let admin = Peer(uid: 0, isAdmin: true)

  private struct Known {
    let peer: Peer
    let priority: JobPriority
    let pictures: Int
    let seed: UInt64
    let isStored: Bool
    let mayBeLate: Bool
    /// Whether its first client went away, and another waits for its result.
    var hasLeft = false
    /// Reads the events until the client leaves; returns the ends.
    let client: Task<[JobEvent], Never>
    var pixels: Int { pictures * 256 * 256 }
  }

  private var random: SeededGenerator
  private let engine = FakeEngine(stepDuration: .microseconds(200), isHeld: true)
  private let scheduler: JobScheduler
  /// In the order in which they came.
  private var waiting: [Job.ID] = []
  private var running: Job.ID?
  private var known: [Job.ID: Known] = [:]
  private var pixels: [Account: Int] = [:]
  private var finished: [UInt32: Int] = [:]
  private var submitted: UInt64 = 0

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    var configuration = DaemonConfiguration(
      waitingJobs: Self.waitingJobs, limits: EngineLimits(batch: 1, threads: 1, pace: 1),
      quotas: Quotas(
        requestsPerMinute: 0, concurrentJobs: Self.concurrentJobs, queueShare: 0.5,
        pixelsPerDay: Self.pixelsPerDay))
    configuration.turn = .milliseconds(1)
    scheduler = JobScheduler(configuration: configuration, availableBytes: { nil })
  }

  /// Everything that happens is known: one job runs, and ends only when it is cancelled.
  func whileTheEngineIsHeld(steps: Int) async {
    for _ in 0..<steps {
      switch Int.random(in: 0..<8, using: &random) {
      case 0..<5: await submit(to: scheduler)
      case 5..<7: await cancel()
      default: await leave()
      }
      await compare()
    }
  }

  private func submit(to scheduler: JobScheduler) async {
    // One of the accounts has two uids.
    let uid = UInt32.random(in: 1...5, using: &random)
    let peer = Peer(uid: uid, isAdmin: false, account: .user(uid == 5 ? 1 : uid))
    submitted += 1
    let known = (
      priority: JobPriority.allCases.randomElement(using: &random)!,
      pictures: Int.random(in: 1...4, using: &random), seed: submitted * 100,
      isStored: Int.random(in: 0..<3, using: &random) == 0
    )
    let request = PictureRequest(
      prompt: "\(submitted)", size: PictureSize(width: 256, height: 256),
      steps: Int.random(in: 1...4, using: &random), seed: known.seed, count: known.pictures)
    let refusal = refusal(of: known.pictures * 256 * 256, from: peer.account)
    let mayBeLate = Int.random(in: 0..<10, using: &random) == 0 && running != nil
    do throws(JobError) {
      let job = try await scheduler.submit(
        Submission(
          request: request, peer: peer, priority: known.priority,
          deadlineSeconds: mayBeLate ? 30 : 1000, isStored: known.isStored,
          answer: Self.answer), to: engine)
      #expect(refusal == nil, "\(submitted) was taken in")
      pixels[peer.account, default: 0] += known.pictures * 256 * 256
      self.known[job.id] = Known(
        peer: peer, priority: known.priority, pictures: known.pictures, seed: known.seed,
        isStored: known.isStored, mayBeLate: mayBeLate,
        client: Task {
          var ends: [JobEvent] = []
          for await event in job.events {
            switch event {
            case .finished, .failed: ends.append(event)
            case .waiting, .progress, .preview: #expect(ends.isEmpty, "told after the end")
            }
          }
          return ends
        })
      waiting.append(job.id)
      await noteRunning()
    } catch {
      #expect(refusal != nil && Self.refusal(error) == refusal, "\(error)")
    }
  }

  private enum Refusal { case busy, queueShare, concurrentJobs, pixelsPerDay }

  private static func refusal(_ error: JobError) -> Refusal? {
    switch error {
    case .busy: return .busy
    case .quotaExceeded(let refusal):
      return switch refusal.quota {
      case .queueShare: .queueShare
      case .concurrentJobs: .concurrentJobs
      case .pixelsPerDay: .pixelsPerDay
      default: nil
      }
    default: return nil
    }
  }

  /// Why a job may not be taken in.
  private func refusal(of pixels: Int, from account: Account) -> Refusal? {
    let own = waiting.count { known[$0]!.peer.account == account }
    if waiting.count >= Self.waitingJobs * (own == 0 ? 2 : 1) { return .busy }
    let runs = running.map { known[$0]!.peer.account == account } ?? false
    if own >= Self.waitingJobs / 2 { return .queueShare }
    if own + (runs ? 1 : 0) >= Self.concurrentJobs { return .concurrentJobs }
    let used = self.pixels[account, default: 0]
    return used + pixels > Self.pixelsPerDay ? .pixelsPerDay : nil
  }

  private static let answer: @Sendable (PictureResult, JobFacts) -> ImageGenerationResponse = {
    result, facts in
    ImageGenerationResponse(
      created: 0,
      data: result.pictures.map { GeneratedImage(png: Data($0.png), seed: $0.seed) },
      background: "", size: "", quality: "", model: "",
      timings: Timings(
        queueSeconds: 0, textSeconds: 0, denoiseSeconds: 0, decodeSeconds: 0, encodeSeconds: 0,
        totalSeconds: 0), warnings: [], job: facts.id)
  }

  /// Waits until a job runs if any is there.
  private func noteRunning() async {
    guard running == nil, !waiting.isEmpty else { return }
    #expect(
      await eventually {
        running = await scheduler.snapshot(for: Self.admin).running?.id
        return running != nil
      })
    #expect(waiting.contains(running ?? ""), "what runs has not waited")
    waiting.removeAll { $0 == running }
  }

  private func cancel() async {
    guard let id = known.keys.sorted().randomElement(using: &random), let job = known[id] else {
      return
    }
    let uid = UInt32.random(in: 1...5, using: &random)
    let stranger = Peer(uid: uid, isAdmin: false)
    if uid != job.peer.uid { #expect(await scheduler.cancel(id, for: stranger) == nil) }
    if Bool.random(using: &random) { return }
    let info = await scheduler.cancel(id, for: job.peer)
    #expect(info?.state == (id == running ? .cancelling : .failed))
    await expectCancelled(id)
  }

  private func leave() async {
    guard let id = known.keys.sorted().randomElement(using: &random), let job = known[id] else {
      return
    }
    if job.hasLeft { return }
    job.client.cancel()
    _ = await job.client.value
    if job.isStored { return await expectKept(id) }
    #expect(await eventually { await scheduler.info(of: id, for: Self.admin) == nil })
    await forget(id, isDone: false)
  }

  /// A stored job goes on without its client, whose place another takes.
  private func expectKept(_ id: Job.ID) async {
    #expect(await scheduler.info(of: id, for: Self.admin) != nil)
    let job = known[id]!
    let scheduler = scheduler
    known[id] = Known(
      peer: job.peer, priority: job.priority, pictures: job.pictures, seed: job.seed,
      isStored: true, mayBeLate: job.mayBeLate, hasLeft: true,
      client: Task {
        switch await scheduler.result(of: id, for: job.peer) {
        case .success(let response)?: [.finished(response)]
        case .failure(let error)?: [.failed(error)]
        case nil: []
        }
      })
  }

  private func expectCancelled(_ id: Job.ID) async {
    let ends = await known[id]!.client.value
    // Who asked for a result that was forgotten before has none.
    if !ends.isEmpty {
      guard ends.count == 1, case .failed(.engine(.cancelled)) = ends[0] else {
        Issue.record("\(id) ended with \(ends)")
        return
      }
    }
    await forget(id, isDone: false)
  }

  private func forget(_ id: Job.ID, isDone: Bool) async {
    let job = known.removeValue(forKey: id)!
    if isDone {
      finished[job.peer.uid, default: 0] += 1
    } else {
      pixels[job.peer.account, default: 0] -= job.pixels
    }
    waiting.removeAll { $0 == id }
    if running == id {
      running = nil
      await noteRunning()
    }
  }

  /// What everybody is told of the jobs.
  private func compare() async {
    let snapshot = await scheduler.snapshot(for: Self.admin)
    #expect(snapshot.waitingJobs.values.reduce(0, +) == waiting.count)
    #expect(snapshot.runningJobs == (running == nil ? 0 : 1) && snapshot.running?.id == running)
    let all = await scheduler.jobs(for: Self.admin).filter { known[$0.id] != nil }
    #expect(Set(all.map(\.id)) == Set(known.keys))
    let places = all.compactMap(\.jobsAhead)
    #expect(places.sorted() == Array(1..<waiting.count + 1))
    let ahead = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0.jobsAhead ?? 0) })
    for uid in 1...5 as ClosedRange<UInt32> {
      let peer = Peer(uid: uid, isAdmin: false)
      let own = await scheduler.jobs(for: peer).map(\.id).filter { known[$0] != nil }
      #expect(Set(own) == Set(known.filter { $0.value.peer.uid == uid }.keys))
    }
    // Those of an account by urgency, then by age.
    for jobs in Dictionary(grouping: waiting, by: { known[$0]!.peer.account }).values {
      let order: [JobPriority] = [.interactive, .normal, .background]
      let expected = order.flatMap { priority in jobs.filter { known[$0]!.priority == priority } }
      #expect(jobs.sorted { ahead[$0]! < ahead[$1]! } == expected)
    }
  }

  /// Lets everything be drawn, several together and in turns.
  func release() async {
    scheduler.apply(EngineLimits(batch: 3, threads: 1, pace: 1))
    engine.release()
    for (id, job) in known {
      let ends = await job.client.value
      var isDone = false
      switch ends.first {
      case .finished(let response):
        isDone = true
        #expect(response.data.map(\.seed) == (0..<UInt64(job.pictures)).map { job.seed + $0 })
        if job.isStored {
          let kept = try? await scheduler.result(of: id, for: job.peer)?.get()
          #expect(kept?.data.count == job.pictures)
        }
      case .failed(.deadlineExceeded) where job.mayBeLate: break
      default: Issue.record("\(id) ended with \(ends)")
      }
      #expect(ends.count == 1)
      known[id] = nil
      if isDone {
        finished[job.peer.uid, default: 0] += 1
      } else {
        pixels[job.peer.account, default: 0] -= job.pixels
      }
    }
    (running, waiting) = (nil, [])
    #expect(await eventually { await scheduler.snapshot(for: Self.admin).runningJobs == 0 })
    let record = engine.record
    #expect(Set(record.requests.map(\.prompt)).count == record.requests.count, "begun twice")
    #expect(record.finished == finished.values.reduce(0, +))
    for uid in 1...5 as ClosedRange<UInt32> {
      let peer = Peer(uid: uid, isAdmin: false, account: .user(uid == 5 ? 1 : uid))
      let snapshot = await scheduler.snapshot(for: peer)
      #expect(snapshot.ownFinishedJobs == finished[uid, default: 0])
      #expect(snapshot.finishedJobs == record.finished)
    }
    engine.hold()
    scheduler.apply(EngineLimits(batch: 1, threads: 1, pace: 1))
  }

  /// What was begun is finished, what waits is told, and nobody is taken in any more.
  func drain() async {
    for _ in 0..<8 { await submit(to: scheduler) }
    let (begun, clients) = (running, known)
    let draining = Task { [scheduler] in await scheduler.drain() }
    #expect(await eventually { await scheduler.snapshot(for: Self.admin).isDraining })
    engine.release()
    await draining.value
    for (id, job) in clients {
      let ends = await job.client.value
      switch ends.first {
      case .finished: #expect(id == begun)
      case .failed(.shuttingDown): #expect(id != begun)
      default: Issue.record("\(id) ended with \(ends)")
      }
      #expect(ends.count == 1)
    }
    let request = PictureRequest(
      prompt: "late", size: PictureSize(width: 256, height: 256), seed: 1)
    await #expect(throws: JobError.shuttingDown) {
      _ = try await scheduler.submit(
        Submission(request: request, peer: Self.admin, answer: Self.answer), to: engine)
    }
  }
}
