import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// This program once more, as a client.
struct ClientProcess {
  let plan: ClientPlan
  private let process: Process

  static func start(_ plan: ClientPlan, kindSeed: UInt64) throws -> ClientProcess {
    let process = Process()
    process.executableURL = URL(filePath: try executable())
    let json = String(decoding: try JSONEncoder().encode(plan), as: UTF8.self)
    process.arguments = ["client", "--plan", json, "--kind-seed", "\(kindSeed)"]
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return ClientProcess(plan: plan, process: process)
  }

  private static func executable() throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  }

  var isRunning: Bool { process.isRunning }
  var pid: Int32 { process.processIdentifier }

  /// Waits for its end; a client that is long overdue is killed.
  /// - Returns: What it saw, with a failure if it did not end well.
  func finish(overdue: Double) async -> ClientReport {
    while process.isRunning, Clock.now < overdue {
      try? await Task.sleep(for: .milliseconds(20))
    }
    var report = ClientReport()
    if process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      report.fail("the client process \(plan.role) \(plan.index) did not end")
    } else if process.terminationStatus != 0 {
      report.fail(
        "the client process \(plan.role) \(plan.index) ended with \(process.terminationStatus)")
    } else if let bytes = FileManager.default.contents(atPath: plan.reportPath),
      let seen = try? JSONDecoder().decode(ClientReport.self, from: bytes)
    {
      report = seen
    } else {
      report.fail("the client process \(plan.role) \(plan.index) left no report")
    }
    return report
  }

  /// The life of a client process.
  static func live(_ plan: ClientPlan, kindSeed: UInt64) async throws {
    if plan.role == .hostile { HostileClient.takeDescriptorsAndStepBack() }
    if let user = plan.user { try become(user) }
    let uid = geteuid()
    let report: ClientReport
    switch plan.role {
    case .orderly, .counted, .cleanup:
      let app = OrderlyClient(plan, uid: uid, kindSeed: kindSeed)
      switch plan.role {
      case .counted: await app.run(requests: plan.requests)
      case .cleanup: await app.cleanUp()
      default: await app.run()
      }
      report = app.report
    case .rude:
      var app = RudeClient(plan, uid: uid, kindSeed: kindSeed)
      await app.run()
      report = app.report
    case .greedy: report = await GreedyClient.run(plan, uid: uid, kindSeed: kindSeed)
    case .probe: report = Probe.admin(plan).run()
    case .healthProbe: report = Probe.health(plan).run()
    case .hostile: report = HostileClient(plan).run()
    case .sweep: report = await HostileClient(plan).sweep()
    }
    try JSONEncoder().encode(report).write(to: URL(filePath: plan.reportPath))
  }

  private static func become(_ user: ClientPlan.User) throws {
    guard setgroups(0, nil) == 0, setgid(user.gid) == 0, setuid(user.uid) == 0 else {
      throw SoakError("cannot become user \(user.uid): errno \(errno)")
    }
  }
}
