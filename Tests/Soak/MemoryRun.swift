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
  /// Equal parts of the run. In the first half the daemon has met everything; in the second it must
  /// not grow any more.
  static let parts = 10
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
    // A short idle time, so that what is left at rest is what the daemon cannot do without.
    try await daemon.configure([
      "requests_per_minute": 0, "pixels_per_day": 0, "result_seconds": 10, "idle_unload_seconds": 2,
    ])
    try await daemon.start()
    try await ReferencePictures(space: space, client: BananaClient(socketPath: space.socket))
      .draw(RequestKind.all(seed: seed))
    let started = Clock.now
    var stretches: [Stretch] = []
    for part in 0..<Self.parts {
      let count = requests * (part + 1) / Self.parts - requests * part / Self.parts
      stretches.append(try await send(count, part: part, daemon))
      print(
        "\(requests * (part + 1) / Self.parts) requests; resident at most",
        SoakReport.mebibytes(stretches[part].peakBytes), "and at rest",
        SoakReport.mebibytes(stretches[part].restBytes))
      fflush(nil)
    }
    let minutes = (Clock.now - started) / 60
    var report = ClientReport()
    for stretch in stretches { report.merge(stretch.report) }
    let memory = [
      Check(
        "the daemon lives, and nothing in its control group was killed for want of memory",
        daemon.isRunning && group.kills == 0,
        "\(group.kills) kills; limit \(SoakReport.mebibytes(limitBytes)) (cgroup v\(group.version))"
          + ", at most \(SoakReport.mebibytes(group.peakBytes)) charged, \(group.limitHits) times "
          + "at the limit"),
      grown("at rest", stretches.map(\.restBytes)),
      grown("under load", stretches.map(\.peakBytes)),
    ]
    let processorSeconds = stretches.reduce(0) { $0 + $1.processorSeconds }
    return (memory + answers(report, minutes, processorSeconds), report)
  }

  /// What the daemon held while and after it answered a number of requests.
  private struct Stretch {
    var report: ClientReport
    var peakBytes: Int
    var restBytes: Int
    var processorSeconds: Double
  }

  /// Compares equally many requests: the most of many is more than the most of few.
  private func grown(_ when: String, _ bytes: [Int]) -> Check {
    let before = bytes[..<(Self.parts / 2)].max() ?? 0
    let after = bytes[(Self.parts / 2)...].max() ?? 0
    return Check(
      "it does not grow in the second half, \(when)", after - before <= Self.growthTolerance,
      "resident at most \(SoakReport.mebibytes(before)) → \(SoakReport.mebibytes(after))")
  }

  private func answers(
    _ report: ClientReport, _ minutes: Double, _ processorSeconds: Double
  ) -> [Check] {
    let total = report.outcomes.values.reduce(0) { $0 + $1.values.reduce(0, +) }
    let milliseconds = SoakReport.milliseconds(
      processorSeconds / Double(max(requests, 1)))
    return [
      Check(
        "every request gets the answer that is due",
        report.failureCount == 0 && report.interruptions.isEmpty && total >= requests,
        "\(total) requests in \((minutes * 10).rounded() / 10) minutes, \(report.failureCount) "
          + "wrong, \(report.interruptions.count) cut off; \(milliseconds) ms of processor each"),
      Check(
        "every picture is the calm daemon's, byte for byte",
        report.wrongPictures == 0 && report.comparedPictures > 0,
        report.pictures),
    ]
  }

  private func send(
    _ count: Int, part: Int, _ daemon: DaemonProcess
  ) async throws -> Stretch {
    let before = daemon.facts?.processorSeconds ?? 0
    var processes = try (0..<Self.clients).map { index in
      var plan = ClientPlan(
        role: .counted, index: index, seed: seed &+ UInt64(part * 100 + index) &* 1_000_003,
        space: daemon.space, end: Double(part))
      plan.requests = count / Self.clients + (index < count % Self.clients ? 1 : 0)
      return try ClientProcess.start(plan, kindSeed: seed)
    }
    var stretch = Stretch(report: ClientReport(), peakBytes: 0, restBytes: 0, processorSeconds: 0)
    let overdue = Clock.now + 7200
    while !processes.isEmpty {
      stretch.peakBytes = max(stretch.peakBytes, daemon.facts?.residentBytes ?? 0)
      try await Task.sleep(for: .milliseconds(100))
      guard daemon.isRunning else { throw SoakError("bananad has ended") }
      let ended = processes.filter { !$0.isRunning || Clock.now > overdue }
      processes.removeAll { !$0.isRunning || Clock.now > overdue }
      for process in ended { stretch.report.merge(await process.finish(overdue: overdue)) }
    }
    stretch.processorSeconds = (daemon.facts?.processorSeconds ?? 0) - before
    stretch.restBytes = try await daemon.rest().facts.residentBytes
    return stretch
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
