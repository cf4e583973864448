import BananaSDK
import BananaTesting
import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A part of the siege: one kind of harm, or none.
struct SiegeSlice: Sendable {
  /// Nil while nobody means harm.
  var kind: HostileKind?
  /// In which figures count: after what is begun is there, and what was before is over.
  var window: ClosedRange<Double>
  /// The daemon's.
  var peakBytes: Int
  var peakDescriptors: Int
  /// Of the processors' time in the window, each second: what was left to the daemon and to those
  /// who mean no harm, and what they used of it.
  var leftSeconds = 0.0
  var usedSeconds = 0.0
  /// How the hostile requests ended.
  var outcomes: [String: Int] = [:]
  /// With what the daemon ended in it, which it must not.
  var exit: String?
}

extension SiegeSlice {
  mutating func note(from before: ProcessorTime, to after: ProcessorTime) {
    let seconds = max(after.time - before.time, 1e-9)
    usedSeconds = (after.used - before.used) / seconds
    leftSeconds = usedSeconds + (after.idle - before.idle) / seconds
  }
}

/// Two users who draw as much as they get, and a third who means harm: one kind after another, and
/// a calm while after each, so that what is compared is of the same minutes.
final class Siege {
  /// A shorter slice shows nothing.
  static let shortestSlice = 1.0
  /// Of the length of a hostile slice.
  private static let calmShare = 0.5

  /// What ships, but for what a day or an idle time would take too long to show.
  static let settings: DaemonProcess.Settings = [
    "pixels_per_day": 0, "result_seconds": 8, "idle_unload_seconds": 2,
  ]

  /// As the unit has it.
  static let descriptorLimit = 16_384

  private let daemon: DaemonProcess
  private let others: [ClientPlan.User]
  private let hostile: ClientPlan.User
  private let kinds: [HostileKind]
  private let sliceSeconds: Double
  private let seed: UInt64
  private var slices: [SiegeSlice] = []
  private var report = ClientReport()
  private var started = 0
  /// The processes of those who mean no harm.
  private var orderly: [Int32] = []

  /// - Parameter seconds: Of all slices together; longer when each would be too short.
  init(
    _ daemon: DaemonProcess, others: [ClientPlan.User], hostile: ClientPlan.User,
    kinds: [HostileKind], seconds: Double, seed: UInt64
  ) {
    self.daemon = daemon
    self.others = others
    self.hostile = hostile
    var random = SeededGenerator(seed: seed)
    self.kinds = kinds.shuffled(using: &random)
    let each = seconds / (Double(kinds.count) * (1 + Self.calmShare) + 2 * Self.calmShare)
    sliceSeconds = max(each, Self.shortestSlice)
    self.seed = seed
  }

  /// - Precondition: The daemon runs, and the kinds of requests are drawn.
  func run() async throws -> SiegeChecks {
    try HostileFiles(daemon.space).make(from: daemon.space.peel(1))
    let before = try await restAfterDrawing()
    let stop = "\(daemon.space.folder)/stop"
    let clients = try startOthers(until: stop)
    orderly = clients.map(\.pid)
    try await pass(nil, seconds: sliceSeconds * Self.calmShare * 2)
    for kind in kinds {
      say("under siege: \(kind.rawValue)")
      try await pass(kind, seconds: sliceSeconds)
      try await pass(nil, seconds: sliceSeconds * Self.calmShare)
    }
    _ = FileManager.default.createFile(atPath: stop, contents: nil)
    for client in clients {
      report.merge(await client.finish(overdue: Clock.now + OrderlyClient.patience + 30))
    }
    let after = try await daemon.rest(patience: 120)
    return SiegeChecks(slices: slices, report: report, before: before, after: after)
  }

  /// What the daemon is at rest once it has drawn.
  private func restAfterDrawing() async throws -> DaemonProcess.Rest {
    let end = Clock.now + 2
    let clients = try others.map { try start(.greedy, as: $0, end: end) }
    for client in clients { report.merge(await client.finish(overdue: end + 60)) }
    return try await daemon.rest()
  }

  private func startOthers(until stop: String) throws -> [ClientProcess] {
    // Until they are told; the end is only for when nobody is there to tell.
    let end = Clock.now + 86_400
    var clients = try (others + others).map {
      try start(.greedy, as: $0, end: end, stopFile: stop)
    }
    clients.append(try start(.healthProbe, as: others[0], end: end, stopFile: stop))
    clients.append(try start(.healthProbe, as: nil, end: end, stopFile: stop))
    return clients
  }

  private func startHostile(_ kind: HostileKind, end: Double) throws -> [ClientProcess] {
    try (0..<kind.processes).map { index in
      var user = hostile
      if let uid = kind.user(ofProcess: index) { user.uid = uid }
      return try start(.hostile, as: user, end: end, harm: kind)
    }
  }

  private func pass(_ kind: HostileKind?, seconds: Double) async throws {
    daemon.forgetPeak()
    let start = Clock.now
    let end = start + seconds
    let clients = try kind.map { try startHostile($0, end: end) } ?? []
    var slice = SiegeSlice(
      kind: kind, window: start + min(seconds / 3, 2)...end, peakBytes: 0, peakDescriptors: 0)
    var before: ProcessorTime?
    while Clock.now < end, daemon.isRunning {
      if before == nil, Clock.now >= slice.window.lowerBound { before = processorTime }
      slice.peakDescriptors = max(slice.peakDescriptors, daemon.facts?.descriptors ?? 0)
      try await Task.sleep(for: .milliseconds(100))
    }
    if let before { slice.note(from: before, to: processorTime) }
    slice.peakBytes = daemon.facts?.peakBytes ?? 0
    for client in clients {
      let seen = await client.finish(overdue: end + 5)
      for counts in seen.outcomes.values { slice.outcomes.merge(counts, uniquingKeysWith: +) }
    }
    if !daemon.isRunning {
      slice.exit = "\(daemon.exitStatus)"
      try await daemon.start()
    }
    slices.append(slice)
    guard kind != nil else { return }
    let sweep = try self.start(.sweep, as: hostile, end: end)
    _ = await sweep.finish(overdue: Clock.now + 30)
  }

  /// Of all that shall not suffer, and of this process.
  private var processorTime: ProcessorTime {
    .now(of: orderly + [daemon.pid, getpid()])
  }

  private func start(
    _ role: ClientPlan.Role, as user: ClientPlan.User?, end: Double, harm: HostileKind? = nil,
    stopFile: String? = nil
  ) throws -> ClientProcess {
    started += 1
    var plan = ClientPlan(
      role: role, index: started, seed: seed &+ UInt64(started) &* 1_000_003, user: user,
      space: daemon.space, end: end)
    plan.drawnKind = RequestKind.several
    plan.harm = harm
    plan.stopFile = stopFile
    return try ClientProcess.start(plan, kindSeed: seed)
  }

  private func say(_ what: String) {
    print("\(what) …")
    fflush(nil)
  }
}
