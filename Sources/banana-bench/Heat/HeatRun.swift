import BananaAPI
import BananaCommands
import BananaSDK
import FoundationEssentials
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One bananad under a steady load of several clients; the processor time that it takes heats
/// simulated boards.
struct HeatRun: Sendable {
  /// What bananad may use while nothing is too hot.
  struct Constant: Hashable {
    var batch: Int
    var threads: Int
    var pace: Double
  }

  struct Sample: Sendable {
    /// On the boards' clock.
    var boardSeconds: Double
    /// On the clock.
    var seconds: Double
    var boards: [SimulatedBoard]
    /// Pictures, and processor time of bananad, since the run began.
    var pictures: Int
    var coreSeconds: Double
    var limits: ThermalStatus.Limits
  }

  /// How often processor time becomes heat.
  static let tick = Duration.milliseconds(10)
  static let ticksPerSample = 20
  /// Twice as many as a full batch has pictures, so that the next one is always full too.
  static let clients = 8

  var models: String
  var constant: Constant
  /// How many times faster than the clock time goes on the boards.
  var clockRate: Double
  /// How long, on the clock.
  var seconds: Double
  /// The rooms of the boards.
  var ambients: [Double]
  /// Whether bananad sees the sensor of the first board.
  var isGoverned: Bool
  var cores: Int

  /// Runs it.
  /// - Throws: What goes wrong with bananad, a request or a file.
  func measure() async throws -> [Sample] {
    let folder = FileManager.default.temporaryDirectory.path + "/banana-heat-\(UUID())"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let sysfs = try SimulatedSysfs(in: folder)
    let boards = ambients.map(SimulatedBoard.init)
    if isGoverned { try sysfs.addZone(celsius: boards[0].siliconCelsius) }
    let config = folder + "/bananad.json"
    let settings =
      #"{"batch": \#(constant.batch), "pace": \#(constant.pace), "requests_per_minute": 0, "#
      + #""pixels_per_day": 0, "queue_share": 1, "log_level": "warning"}"#
    try Data(settings.utf8).write(to: URL(filePath: config))
    let samples = Mutex<[Sample]>([])
    try await withRunning(sysfs: sysfs, config: config) { client in
      // The first pictures wake what only they need.
      try await Load(client: client, until: .now + .seconds(1)).run()
      let load = Load(client: client, until: .now + .seconds(seconds))
      async let drawing: Void = load.run()
      let taken = try await heat(boards, sysfs, load)
      try await drawing
      samples.withLock { $0 = taken }
    }
    return samples.withLock { $0 }
  }

  private func withRunning(
    sysfs: SimulatedSysfs, config: String,
    _ body: @escaping @Sendable (BananaClient) async throws -> Void
  ) async throws {
    try await LocalDaemon.withDaemon(
      modelsDirectory: models, peelsDirectory: nil,
      options: [
        "--sysfs-root", sysfs.root, "--thermal-clock-rate", "\(clockRate)",
        "--threads", "\(constant.threads)", "--config", config,
      ], body)
  }

  /// Turns bananad's processor time into heat until the load ends.
  private func heat(
    _ boards: [SimulatedBoard], _ sysfs: SimulatedSysfs, _ load: Load
  ) async throws -> [Sample] {
    let clock = try ProcessorClock(process: try await load.client.status().pid)
    var boards = boards
    var samples: [Sample] = []
    let start = (time: ContinuousClock.now, coreSeconds: clock.seconds, pictures: load.pictures)
    var last = start
    for tick in 1... {
      try await Task.sleep(for: Self.tick)
      let now = (time: ContinuousClock.now, coreSeconds: clock.seconds, pictures: load.pictures)
      let elapsed = (now.time - last.time) / .seconds(1)
      let share = (now.coreSeconds - last.coreSeconds) / elapsed / Double(cores)
      for index in boards.indices { boards[index].advance(elapsed * clockRate, load: share) }
      last = now
      if isGoverned { try sysfs.show(celsius: boards[0].siliconCelsius) }
      guard tick % Self.ticksPerSample == 0 else { continue }
      let seconds = (now.time - start.time) / .seconds(1)
      samples.append(
        Sample(
          boardSeconds: seconds * clockRate, seconds: seconds, boards: boards,
          pictures: now.pictures - start.pictures,
          coreSeconds: now.coreSeconds - start.coreSeconds,
          limits: try await load.client.status().thermal.limits))
      if now.time >= load.end { break }
    }
    return samples
  }
}

/// Clients that ask for one picture after another.
private final class Load: Sendable {
  let client: BananaClient
  let end: ContinuousClock.Instant
  private let count = Atomic(0)

  /// Pictures that have come.
  var pictures: Int { count.load(ordering: .relaxed) }

  init(client: BananaClient, until end: ContinuousClock.Instant) {
    self.client = client
    self.end = end
  }

  func run() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for seed in 0..<UInt64(HeatRun.clients) {
        group.addTask { try await self.ask(seed: seed) }
      }
      try await group.waitForAll()
    }
  }

  private func ask(seed: UInt64) async throws {
    while ContinuousClock.now < end {
      _ = try await client.generate(ImageGenerationRequest(prompt: "a red apple", seed: seed))
      count.add(1, ordering: .relaxed)
    }
  }
}

/// The processor time that another process has taken.
private struct ProcessorClock {
  private let id: clockid_t

  init(process: Int) throws {
    var id = clockid_t()
    guard clock_getcpuclockid(pid_t(process), &id) == 0 else { throw HeatError.noProcess }
    self.id = id
  }

  /// User and system time of all its threads, as in /proc/PID/stat but to the nanosecond.
  var seconds: Double {
    var time = timespec()
    clock_gettime(id, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

enum HeatError: Error, CustomStringConvertible {
  case noProcess
  case coldBoard(ambientCelsius: Double)

  var description: String {
    switch self {
    case .noProcess: "The processor time of bananad cannot be read. Run this as the same user."
    case .coldBoard(let ambient):
      "No constant setting keeps the board below its trip point in a room of \(ambient) °C. "
        + "Choose a cooler one."
    }
  }
}
