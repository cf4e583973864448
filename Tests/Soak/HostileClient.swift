import BananaAPI
import BananaSDK
import BananaTesting
import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A client that means harm. Nothing is promised to it; what counts is what others notice.
///
/// How each of its requests ended is counted, so that a run shows what the daemon did about them.
struct HostileClient: Sendable {
  let plan: ClientPlan
  let files: HostileFiles
  /// Ready to send: after everybody else there is little time to make them.
  private let nested: [[UInt8]]
  private let bombs: [[UInt8]]
  private let edges: [[UInt8]]
  private let log = Log()

  private final class Log: Sendable {
    let outcomes = Mutex<[String: Int]>([:])
  }

  /// Under which connections are counted.
  static let connected = "(connections)"

  /// Bytes that tell how an answer begins; the rest is read and forgotten.
  private static let beginning = 4096

  init(_ plan: ClientPlan) {
    self.plan = plan
    let files = HostileFiles(plan.space)
    self.files = files
    let kind = plan.harm
    func made(_ one: HostileKind, _ make: (HostileFiles) -> [[UInt8]]) -> [[UInt8]] {
      kind == one || kind == .everything ? make(files) : []
    }
    nested = made(.nestedFields, HostileBodies.nested)
    bombs = made(.pngBombs, HostileBodies.bombs)
    edges = made(.edgeNumbers, HostileBodies.edges)
  }

  /// Does harm until the plan ends, whatever still hangs then.
  func run() -> ClientReport {
    let kind = plan.harm ?? .everything
    for lane in 0..<kind.lanes {
      Task.detached { await run(lane, of: kind) }
    }
    // Not a task: all threads of those may be blocked by now.
    while Clock.now < plan.end { usleep(10_000) }
    var report = ClientReport()
    report.outcomes["hostile \(kind.rawValue)"] = log.outcomes.withLock { $0 }
    return report
  }

  /// For as many descriptors as the machine allows; and behind everybody else, because what the
  /// daemon gives to whom is on trial and not what the kernel does.
  static func takeDescriptorsAndStepBack() {
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
    let descriptors = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    getrlimit(descriptors, &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(descriptors, &limit)
  }

  private func run(_ lane: Int, of kind: HostileKind) async {
    var random = SeededGenerator(seed: plan.seed &+ UInt64(lane) &* 7919)
    while Clock.now < plan.end {
      let harm = kind == .everything ? HostileKind.single.randomElement(using: &random)! : kind
      do {
        try await perform(harm, lane: lane, &random)
      } catch let failed as RawConnection.Failed {
        count("\(failed.call): \(String(cString: strerror(failed.errno)))")
        await pause(0.05)
      } catch {
        count("given up")
        await pause(0.01)
      }
    }
  }

  private func perform(
    _ kind: HostileKind, lane: Int, _ random: inout SeededGenerator
  ) async throws {
    switch kind {
    case .nestedFields: await ask(nested.randomElement(using: &random)!)
    case .pngBombs: await ask(bombs.randomElement(using: &random)!)
    case .largePeels: try await largePeels(lane: lane, &random)
    case .wordyPeels: try await wordyPeels(lane: lane, &random)
    case .halfForms: try await halfForm()
    case .drippedBytes: try await drip(&random)
    case .connections: try await crowd()
    case .churn: try await churn(&random)
    case .interactive: await ask(HostileBodies.interactive(&random))
    case .cheapLooking: await ask(HostileBodies.cheapLooking(files, &random))
    case .waitingEdits: try await waitingEdit(&random)
    case .longJobs: await ask(HostileBodies.longJob(&random))
    case .storedAnswers: try await storedAnswer(&random)
    case .edgeNumbers: await ask(edges.randomElement(using: &random)!)
    case .badRequests: try await badRequests(&random)
    case .slowReaders: try await readSlowly(&random)
    case .goneForms: try await leaveForm(&random)
    case .unreadStreams: try await leaveStreamUnread()
    case .keptFailures: try await keepFailures()
    case .jobGuessing: try await guessJobs(&random)
    case .garbage: try await sendGarbage(&random)
    case .manyUsers: await ask(HostileBodies.ordinary)
    case .everything: preconditionFailure("chosen from the single ones")
    }
  }

  // MARK: What they have in common

  func count(_ outcome: String, _ times: Int = 1) {
    log.outcomes.withLock { $0[outcome, default: 0] += times }
  }

  func connect() throws -> RawConnection {
    let connection = try RawConnection(plan.space.socket)
    count(Self.connected)
    return connection
  }

  /// No longer than the run.
  func pause(_ seconds: Double) async {
    try? await Task.sleep(for: .seconds(min(seconds, max(plan.end - Clock.now, 0))))
  }

  /// Sends a request, reads the answer to its end and counts it.
  func ask(_ request: [UInt8], patience: Double = 60) async {
    do {
      let connection = try connect()
      count(try await answer(connection, to: request, patience: patience))
    } catch let failed as RawConnection.Failed {
      count("\(failed.call): \(String(cString: strerror(failed.errno)))")
      await pause(0.02)
    } catch {
      count("no answer")
    }
  }

  /// How a request ended: its status, and the code of an error.
  func answer(
    _ connection: RawConnection, to request: [UInt8], patience: Double = 60
  ) async throws -> String {
    try await within(patience) {
      // The daemon may answer and close before it has read everything.
      let isSent = (try? await connection.send(request)) != nil
      let text = try await Self.readToEnd(connection)
      return Self.outcome(of: text) ?? (isSent ? "closed" : "cut off")
    }
  }

  private static func readToEnd(_ connection: RawConnection) async throws -> String {
    var beginning: [UInt8] = []
    while true {
      let bytes = try await connection.receive()
      if bytes.isEmpty { return String(decoding: beginning, as: UTF8.self) }
      beginning += bytes.prefix(Self.beginning - beginning.count)
    }
  }

  /// Nil when that is no answer.
  static func outcome(of text: String) -> String? {
    guard let status = text.firstMatch(of: #/^HTTP/1\.1 (\d+)/#)?.1 else { return nil }
    let code = text.firstMatch(of: #/"code"\s*:\s*"([a-z_]+)"/#)?.1
    return code.map { "\(status) \($0)" } ?? String(status)
  }

  /// Ends every job of this user, so that the calm after it is one, and removes its peels.
  func sweep() async -> ClientReport {
    let client = BananaClient(socketPath: plan.space.socket)
    var report = ClientReport()
    for job in await insisting({ try await client.jobs() }) ?? []
    where job.state == .waiting || job.state == .running {
      let isEnded = await insisting { try await client.cancelJob(job.id) } != nil
      report.count("hostile sweep", isEnded ? "ok" : "failed")
    }
    for peel in await insisting({ try await client.peels() }) ?? [] where peel.scope == .private {
      let isRemoved = await insisting { try await client.removePeel(peel.name) } != nil
      report.count("hostile sweep", isRemoved ? "ok" : "failed")
    }
    return report
  }

  /// What `ask` returns, though this user may have used up its rate; nil when it never does.
  private func insisting<Value: Sendable>(
    _ ask: @escaping @Sendable () async throws -> Value
  ) async -> Value? {
    for _ in 0..<10 {
      if let value = try? await within(10, ask) { return value }
      try? await Task.sleep(for: .milliseconds(200))
    }
    return nil
  }
}
