import BananaAPI
import BananaSDK
import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Many requests to a daemon whose control group has hardly more memory than it needs.
struct MemoryRun {
  /// Clients that send them.
  static let clients = 8
  /// Requests after which the daemon has met everything and must not grow any more.
  static let warmUp = 1000
  /// What malloc and the kernel keep differs by so much.
  static let growthTolerance = 8 << 20

  let daemonPath: String
  let models: String
  let peels: String
  let requests: Int
  let limitBytes: Int
  let seed: UInt64

  func run() async throws -> (checks: [Check], report: ClientReport) {
    let space = try Workspace.make(peelsDirectory: peels)
    defer { space.remove() }
    let package = space.folder + "/models"
    try copyModels(to: package)
    let group = try ControlGroup(limitBytes: limitBytes)
    defer { group.remove() }
    let daemon = DaemonProcess(
      executable: daemonPath, models: package, space: space, group: nil, controlGroup: group)
    do {
      let result = try await run(daemon, group, space)
      _ = try await daemon.stop(by: SIGTERM)
      return result
    } catch {
      _ = try? await daemon.stop(by: SIGKILL)
      print("bananad's last words:\n\(daemon.lastWords)\nKilled for memory: \(group.kills)")
      throw error
    }
  }

  private func run(
    _ daemon: DaemonProcess, _ group: ControlGroup, _ space: Workspace
  ) async throws -> (checks: [Check], report: ClientReport) {
    try await daemon.configure([
      "requests_per_minute": 0, "pixels_per_day": 0, "result_seconds": 5, "idle_unload_seconds": 0,
    ])
    try await daemon.start()
    try await ReferencePictures(space: space, client: BananaClient(socketPath: space.socket))
      .draw(RequestKind.all(seed: seed))
    let started = Clock.now
    print("\(Self.warmUp) requests to warm up …")
    var report = await send(Self.warmUp, part: 0, space)
    let warm = try await resident(daemon)
    print("\(requests - Self.warmUp) more …")
    report.merge(await send(requests - Self.warmUp, part: 1, space))
    let end = try await resident(daemon)
    let minutes = (Clock.now - started) / 60
    let total = report.outcomes.values.reduce(0) { $0 + $1.values.reduce(0, +) }
    let checks = [
      Check(
        "the daemon lives, and nothing in its control group was killed for want of memory",
        daemon.isRunning && group.kills == 0,
        "\(group.kills) kills; limit \(SoakReport.mebibytes(limitBytes)) (cgroup v\(group.version))"
          + ", at most \(SoakReport.mebibytes(group.peakBytes)) charged, \(group.limitHits) times "
          + "at the limit, not files at the end \(SoakReport.mebibytes(group.anonymousBytes))"),
      Check(
        "it does not grow after the first \(Self.warmUp)", end - warm <= Self.growthTolerance,
        "resident \(SoakReport.mebibytes(warm)) → \(SoakReport.mebibytes(end))"),
      Check(
        "every request gets the answer that is due",
        report.failureCount == 0 && report.interruptions.isEmpty && total >= requests,
        "\(total) requests in \((minutes * 10).rounded() / 10) minutes, \(report.failureCount) "
          + "wrong, \(report.interruptions.count) cut off"),
      Check(
        "every picture is the calm daemon's, byte for byte",
        report.wrongPictures == 0 && report.comparedPictures > 0,
        "\(report.comparedPictures) compared, \(report.wrongPictures) wrong"),
    ]
    return (checks, report)
  }

  private func send(_ count: Int, part: Int, _ space: Workspace) async -> ClientReport {
    let processes = (0..<Self.clients).compactMap { index -> ClientProcess? in
      var plan = ClientPlan(
        role: .counted, index: index, seed: seed &+ UInt64(part * 100 + index) &* 1_000_003,
        space: space, end: Double(part))
      plan.requests = count / Self.clients + (index < count % Self.clients ? 1 : 0)
      return try? ClientProcess.start(plan, kindSeed: seed)
    }
    var report = ClientReport()
    if processes.count < Self.clients { report.fail("a client could not be started") }
    for process in processes {
      report.merge(await process.finish(overdue: Clock.now + 7200))
    }
    return report
  }

  /// What the daemon holds once the answers that it keeps are gone.
  private func resident(_ daemon: DaemonProcess) async throws -> Int {
    guard daemon.isRunning else { throw SoakError("bananad has ended") }
    _ = try await daemon.waitUntilCalm(seconds: 20)
    guard let facts = daemon.facts else { throw SoakError("bananad has ended") }
    return facts.residentBytes
  }

  /// Copies the packages and drops the copies' pages, so that the control group pays for them when
  /// the daemon maps them.
  private func copyModels(to folder: String) throws {
    let files = FileManager.default
    try files.copyItem(atPath: models, toPath: folder)
    for name in files.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
      let descriptor = open("\(folder)/\(name)", O_RDONLY)
      guard descriptor >= 0 else { continue }
      fsync(descriptor)
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
      close(descriptor)
    }
  }
}
