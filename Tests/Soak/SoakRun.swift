import BananaAPI
import BananaSDK
import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The soak: reference pictures, a storm with restarts, a race between users, a storm without.
final class SoakRun {
  static let clients = 32
  static let rudeClients = 4
  /// Three that the user database knows: all others count into one account.
  private static let users = Array(
    (1..<65_534 as Range<UInt32>).lazy.filter { getpwuid($0) != nil }.prefix(3))

  /// Settings that let things end within a short run.
  private static let settings: DaemonProcess.Settings = [
    "requests_per_minute": 0, "result_seconds": 8, "idle_timeout_seconds": 4,
    "idle_unload_seconds": 2, "queue_capacity": 24,
  ]

  /// What was promised, and what was seen.
  struct Result {
    var checks: [Check]
    var report: ClientReport
    var unexplained: [ClientReport.Interruption] = []
    var siege: SiegeChecks?
  }

  private static let noSiege = Check(
    leftOut: "one user cannot take from two others",
    because: "all clients are one user; run this as root for three")

  private let daemon: DaemonProcess
  private let space: Workspace
  private let seconds: Double
  private let seed: UInt64
  private let isRoot = geteuid() == 0
  private var report = ClientReport()
  private var exits: [(signal: String, status: Int32, expected: Int32)] = []
  private var phase = 0

  /// - Parameter minutes: Of storms and race together, and once more of the siege.
  init(
    daemonPath: String, models: String, peels: String, minutes: Double, seed: UInt64
  ) throws {
    space = try Workspace.make(peelsDirectory: peels)
    seconds = minutes * 60
    self.seed = seed
    let group = getgrnam("banana").map { $0.pointee.gr_gid } ?? 61_000
    daemon = DaemonProcess(
      executable: daemonPath, models: models, space: space, group: isRoot ? group : nil)
    self.group = group
  }

  private let group: UInt32

  func run() async throws -> Result {
    try await tidily { try await self.runPhases() }
  }

  /// Only the siege, by some kinds of harm.
  func besiege(by kinds: [HostileKind]) async throws -> Result {
    try await tidily {
      let siege = try await self.siege(kinds)
      let status = try await self.daemon.stop(by: SIGTERM)
      return Result(
        checks: (siege?.checks ?? []) + [
          Check("the daemon ends when told", status == 0, "\(status)")
        ],
        report: siege?.wholeReport ?? report,
        unexplained: siege?.report.interruptions ?? [], siege: siege)
    }
  }

  private func tidily(_ body: () async throws -> Result) async throws -> Result {
    do {
      let result = try await body()
      space.remove()
      return result
    } catch {
      _ = try? await daemon.stop(by: SIGKILL)
      print("bananad's last words:\n\(daemon.lastWords)\nEverything is in \(space.folder).")
      throw error
    }
  }

  private func runPhases() async throws -> Result {
    try await daemon.configure(Self.settings)
    try await daemon.start()
    say("drawing \(RequestKind.count) kinds of requests on a calm daemon")
    try await ReferencePictures(space: space, client: BananaClient(socketPath: space.socket))
      .draw(RequestKind.all(seed: seed))

    say("a storm of \(Self.clients) clients, with restarts")
    try await storm(seconds: seconds * (isRoot ? 0.35 : 0.45), restarting: true)
    let pixels = isRoot ? try await race(seconds: seconds * 0.2) : nil
    let before = try await rest()
    say("a storm of \(Self.clients) clients, without restarts")
    try await storm(seconds: seconds * (isRoot ? 0.45 : 0.55), restarting: false)
    let after = try await rest()

    try await stop()
    let siege = try await siege(HostileKind.allCases)
    if siege != nil { try await stop() }
    let storms = SoakChecks(
      report: report, outages: daemon.outages, before: before, after: after, exits: exits,
      pixelsByUser: pixels)
    if let siege { report.merge(siege.wholeReport) }
    return Result(
      checks: storms.checks + (siege?.checks ?? [Self.noSiege]), report: report,
      unexplained: storms.unexplained, siege: siege)
  }

  private func stop() async throws {
    let status = try await daemon.stop(by: SIGTERM)
    exits.append((signal: "SIGTERM", status: status, expected: 0))
  }

  /// On a daemon of its own, with the limits that ship; nil where all clients are one user.
  private func siege(_ kinds: [HostileKind]) async throws -> SiegeChecks? {
    guard isRoot else { return nil }
    say("a siege by one user: \(kinds.count) kinds of harm")
    daemon.descriptorLimit = Siege.descriptorLimit
    try await daemon.configure(Siege.settings)
    try await daemon.start()
    let drawn = RequestKind.all(seed: seed).prefix(RequestKind.several + 1)
    try await ReferencePictures(space: space, client: BananaClient(socketPath: space.socket))
      .draw(Array(drawn))
    let users = Self.users.map { ClientPlan.User(uid: $0, gid: group) }
    return try await Siege(
      daemon, others: Array(users[..<2]), hostile: users[2], kinds: kinds, seconds: seconds,
      seed: seed
    ).run()
  }

  /// Everything at random at once.
  private func storm(seconds: Double, restarting: Bool) async throws {
    let end = Clock.now + seconds
    let orderly = Self.clients - Self.rudeClients
    var plans = (0..<orderly).map { plan(.orderly, $0, end: end) }
    plans += (0..<Self.rudeClients).map { plan(.rude, $0, end: end) }
    let processes = try start(plans + [plan(.probe, 0, end: end)])
    if restarting {
      let stride = min(seconds / 3, 60)
      var next = Clock.now + stride
      var isKill = false
      while next < end - stride / 2 {
        try await Task.sleep(for: .seconds(max(next - Clock.now, 0)))
        let signal = isKill ? SIGKILL : SIGTERM
        let status = try await daemon.restart(by: signal)
        let name = isKill ? "SIGKILL" : "SIGTERM"
        exits.append((signal: name, status: status, expected: isKill ? -SIGKILL : 0))
        isKill.toggle()
        next += stride
      }
    }
    try await finish(processes, end: end)
  }

  /// All users want as much as they can get, one of them with three times as many clients.
  /// - Returns: The pixels that each got while all of them had jobs that wait.
  private func race(seconds: Double) async throws -> [UInt32: Int] {
    say("a race of \(Self.users.count) users, one of them with three times the clients")
    var settings = Self.settings
    settings["queue_capacity"] = 256
    settings["queue_share"] = 0
    settings["concurrent_jobs"] = 0
    try await daemon.configure(settings)
    let start = Clock.now
    let end = start + seconds
    let clients = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    let plans = clients.enumerated().map { index, user in
      var plan = plan(.greedy, index, end: end)
      plan.user?.uid = Self.users[user]
      return plan
    }
    let processes = try self.start(plans + [plan(.probe, 0, end: end)])
    var pixels: [UInt32: Int] = [:]
    for process in processes {
      let seen = await process.finish(overdue: end + OrderlyClient.patience)
      // Until the processes are all there, not everybody's jobs wait.
      let window = start + min(seconds / 4, 5)...end
      if let uid = process.plan.user?.uid, process.plan.role == .greedy {
        pixels[uid, default: 0] +=
          seen.finishes.filter { window.contains($0.time) }.reduce(0) { $0 + $1.pixels }
      }
      report.merge(seen)
    }
    try await daemon.configure(Self.settings)
    return pixels
  }

  /// Removes what clients have installed, and waits until nothing goes on.
  private func rest() async throws -> DaemonProcess.Rest {
    let end = Clock.now
    let users = isRoot ? Self.users.count : 1
    let processes = try start((0..<users).map { plan(.cleanup, $0, end: end) })
    try await finish(processes, end: end)
    return try await daemon.rest()
  }

  private func plan(_ role: ClientPlan.Role, _ index: Int, end: Double) -> ClientPlan {
    phase += 1
    var plan = ClientPlan(
      role: role, index: index, orderlyClients: Self.clients - Self.rudeClients,
      seed: seed &+ UInt64(phase) &* 1_000_003, space: space, end: end)
    // Who asks on the admin socket stays root.
    if isRoot, role != .probe {
      plan.user = .init(uid: Self.users[index % Self.users.count], gid: group)
    }
    return plan
  }

  private func start(_ plans: [ClientPlan]) throws -> [ClientProcess] {
    try plans.map { try ClientProcess.start($0, kindSeed: seed) }
  }

  private func finish(_ processes: [ClientProcess], end: Double) async throws {
    for process in processes {
      report.merge(await process.finish(overdue: end + OrderlyClient.patience + 30))
    }
    guard daemon.isRunning else { throw SoakError("bananad ended by itself") }
  }

  private func say(_ what: String) {
    print("\(what) …")
    fflush(nil)
  }
}
