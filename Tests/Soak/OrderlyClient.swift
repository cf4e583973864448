import BananaAPI
import BananaSDK
import Foundation

/// An app that behaves: it does what its script says, one thing after another, and judges every
/// answer.
final class OrderlyClient {
  /// The longest that anything may take.
  static let patience = 120.0

  let plan: ClientPlan
  let client: BananaClient
  let kinds: [RequestKind]
  let uid: UInt32
  var report = ClientReport()
  /// What may be installed under this client's name: one of `Workspace.peelNames`, or nothing.
  var possiblePeels: Set<Int?> = [nil]

  var space: Workspace { plan.space }
  var peelName: String { Self.peelName(uid: uid, client: plan.index) }

  static func peelName(uid: UInt32, client: Int) -> String { "u\(uid)-c\(client)" }

  init(_ plan: ClientPlan, uid: UInt32, kindSeed: UInt64) {
    self.plan = plan
    self.uid = uid
    client = BananaClient(socketPath: plan.space.socket)
    kinds = RequestKind.all(seed: kindSeed)
    report.uid = uid
  }

  func run() async {
    var script = Script(seed: plan.seed, clients: plan.orderlyClients)
    while Clock.now < plan.end { await perform(script.next()) }
  }

  /// Sends so many requests for pictures.
  func run(requests: Int) async {
    var script = Script(seed: plan.seed, clients: 0)
    for _ in 0..<requests { await perform(script.nextOfMany()) }
  }

  private func perform(_ action: Action) async {
    switch action {
    case .draw(let kind, let manner): await draw(kinds[kind], manner)
    case .cancel(let kind): await cancel(kinds[kind])
    case .cancelWaiting(let kind): await cancelWaiting(kinds[kind])
    case .abandonAndFetch(let kind): await abandonAndFetch(kinds[kind])
    case .installPeel(let which): await installPeel(which)
    case .installBrokenPeel: await installBrokenPeel()
    case .removePeel: await removePeel()
    case .drawWithOwnPeel: await drawWithOwnPeel()
    case .listPeels: await listPeels()
    case .listJobs: await listJobs()
    case .snoop(let other): await snoop(on: other)
    case .status: await look("status") { try await $0.status().version }
    case .models: await look("models") { try await $0.models().first?.id }
    case .metrics: await raw("metrics", "GET", Route.metrics, expecting: nil)
    case .badRequest(let index):
      let bad = BadRequest.all[index]
      await raw("bad request", bad.method, bad.path, bad.body, expecting: bad.code)
    }
  }

  // MARK: Judging

  /// What `body` returns; nil if it failed, which is then in the report.
  /// - Parameters:
  ///   - codes: What else the request may end with.
  ///   - whenDown: Codes that are right after a restart, and only then.
  ///   - start: Since when a restart counts.
  func attempt<Value: Sendable>(
    _ action: String, expecting codes: Set<ErrorCode> = [], whenDown: Set<ErrorCode> = [],
    since start: Double = Clock.now, _ body: @escaping @Sendable () async throws -> Value
  ) async -> Result<Value, Stop> {
    let error: any Error
    do {
      let value = try await within(Self.patience, body)
      report.count(action, "ok")
      return .success(value)
    } catch let caught { error = caught }
    var outcome = Outcome(error, expecting: codes.union(whenDown))
    if case .refused(let code, _) = outcome, whenDown.contains(code) {
      outcome = .interrupted(code.rawValue)
    }
    switch outcome {
    case .refused(let code, let retryAfter):
      report.count(action, code.rawValue)
      // Less than was asked for, so that the queue stays full.
      if let retryAfter { await pause(min(retryAfter, 0.2)) }
      return .failure(.refused(code))
    case .interrupted(let what):
      report.count(action, "interrupted")
      report.interruptions.append(.init(start: start, end: Clock.now, what: "\(action): \(what)"))
      await pause(0.1)
      return .failure(.interrupted)
    case .failed(let what):
      report.count(action, "FAILED")
      fail("\(action): \(what)")
      return .failure(.failed)
    }
  }

  /// Why there is no value.
  enum Stop: Error {
    case refused(ErrorCode)
    case interrupted
    case failed
  }

  func fail(_ what: String) {
    report.fail("client \(plan.index) of user \(uid): \(what)")
  }

  func pause(_ seconds: Double) async {
    try? await Task.sleep(for: .seconds(seconds))
  }

  func compare(_ kind: RequestKind, _ pictures: [GeneratedImage], _ action: String) {
    report.comparedPictures += pictures.count
    if kind.isDrawn(by: pictures, space) { return }
    let differences = kind.differences(of: pictures, space)
    report.wrongPictures += max(differences.count, 1)
    report.wrongPixels += differences.count(where: \.isInPixels)
    report.wrongTimes.append(Clock.now)
    let time = Date.now.formatted(.iso8601)
    if pictures.count != kind.pictures {
      fail("\(action), \(time): \(pictures.count) pictures instead of \(kind.pictures)")
    }
    for difference in differences {
      fail(
        "\(action), \(time): picture \(difference.index) of request kind \(kind.id): "
          + difference.description)
      keep(pictures[difference.index].png, of: kind, difference.index)
    }
  }

  /// Keeps a wrong picture, for who looks for the cause; not all of them when there are many.
  func keep(_ png: Data, of kind: RequestKind, _ index: Int) {
    let client = "u\(uid)-c\(plan.index)"
    let name = "\(kind.id)-\(index)-\(client)-\(report.failureCount).png"
    if report.failureCount > ClientReport.keptFailures { return }
    try? png.write(to: URL(filePath: "\(space.wrongPictures)/\(name)"))
  }

  private func look(
    _ action: String, _ body: @escaping @Sendable (BananaClient) async throws -> some Sendable
  ) async {
    _ = await attempt(action) { [client] in try await body(client) }
  }
}
