import FoundationEssentials
import Serving

/// A passively cooled board with four cores as two bodies that hold heat: the silicon and the
/// heatsink, with the engine's load on it.
///
/// `C dT/dt = power in - (T - T outside) / R` for each. The engine draws `idleWatts` and
/// `threadWatts` for each thread, during the share of the time that `pace` lets it compute.
struct Board {
  static let passiveCelsius = 85.0
  static let threads = 4
  static let batch = 4

  let ambientCelsius: Double
  private let idleWatts = 1.2
  private let threadWatts = 2.0
  private let silicon = (kelvinPerWatt: 1.5, joulesPerKelvin: 3.0)
  private let heatsink = (kelvinPerWatt: 8.0, joulesPerKelvin: 60.0)
  private(set) var siliconCelsius: Double
  private(set) var heatsinkCelsius: Double

  /// A board that has been idle for long.
  init(ambientCelsius: Double) {
    self.ambientCelsius = ambientCelsius
    heatsinkCelsius = ambientCelsius + idleWatts * heatsink.kelvinPerWatt
    siliconCelsius = heatsinkCelsius + idleWatts * silicon.kelvinPerWatt
  }

  /// Lets `seconds`, far fewer than the silicon's 4.5, pass under a load.
  mutating func advance(_ seconds: Double, under limits: EngineLimits?) {
    let power = idleWatts + (limits.map { threadWatts * Double($0.threads) * $0.pace } ?? 0)
    let flow = (siliconCelsius - heatsinkCelsius) / silicon.kelvinPerWatt
    let loss = (heatsinkCelsius - ambientCelsius) / heatsink.kelvinPerWatt
    siliconCelsius += seconds * (power - flow) / silicon.joulesPerKelvin
    heatsinkCelsius += seconds * (flow - loss) / heatsink.joulesPerKelvin
  }

  /// Where a constant load ends, °C.
  func finalCelsius(under limits: EngineLimits) -> Double {
    let power = idleWatts + threadWatts * Double(limits.threads) * limits.pace
    return ambientCelsius + power * (silicon.kelvinPerWatt + heatsink.kelvinPerWatt)
  }

  /// Work a second under `limits`, in units of one thread's at batch 1: a twentieth of a step does
  /// not scale with threads, and a fortieth is spent once a pass. Threads between whole ones are a
  /// mean, as `ThreadRation` makes it.
  static func throughput(_ limits: EngineLimits) -> Double {
    func speed(_ threads: Double) -> Double { 1 / (0.05 + 0.95 / threads) }
    let granted = Double(limits.threads) * limits.pace
    let low = granted.rounded(.down)
    let mean =
      granted <= 1
      ? granted : speed(low) + (granted - low) * (speed(low + 1) - speed(low))
    return mean * (1 - 0.026 / Double(limits.batch))
  }

  /// The constant setting that does the most work and never crosses the passive trip point.
  func bestConstant() -> EngineLimits {
    var best = EngineLimits(batch: 1, threads: 1, pace: 0.01)
    for batch in [1, 2, 4] {
      for threads in 1...Self.threads {
        for hundredths in 1...100 {
          let limits = EngineLimits(
            batch: batch, threads: threads, pace: Double(hundredths) / 100)
          if finalCelsius(under: limits) < Self.passiveCelsius,
            Self.throughput(limits) > Self.throughput(best)
          {
            best = limits
          }
        }
      }
    }
    return best
  }
}

/// A sensor as boards have them: noise, and whole steps.
struct Sensor {
  let stepCelsius: Double
  let noiseCelsius: Double
  private var state: UInt64

  init(stepCelsius: Double, noiseCelsius: Double, seed: UInt64) {
    self.stepCelsius = stepCelsius
    self.noiseCelsius = noiseCelsius
    state = seed
  }

  mutating func read(_ celsius: Double) -> Double {
    // The sum of four uniform values has a standard deviation of 0.577.
    let noise = (0..<4).reduce(0.0) { sum, _ in sum + uniform() } / 0.577
    let value = celsius + noise * noiseCelsius
    return stepCelsius > 0 ? (value / stepCelsius).rounded(.down) * stepCelsius : value
  }

  /// Uniform in -0.5...0.5, of a linear congruential generator (Knuth, MMIX).
  private mutating func uniform() -> Double {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Double(state >> 11) / Double(1 << 53) - 0.5
  }
}

/// What an hour or two on the board was like.
struct BoardRun {
  struct Sample {
    var seconds: Double
    var siliconCelsius: Double
    var heatsinkCelsius: Double
    var limits: EngineLimits
  }

  private(set) var samples: [Sample] = []
  private(set) var changes: [Double] = []
  private(set) var reversals: [Double] = []
  private(set) var hottestCelsius = -Double.infinity
  /// Work a second over the whole run, and over its second half.
  private(set) var throughput = 0.0
  private(set) var lateThroughput = 0.0

  /// - Parameters:
  ///   - controller: Nil lets the engine run freely.
  ///   - load: Whether there is work at a moment; there always is where it is not given.
  init(
    ambientCelsius: Double, controller: ThermalController?, sensor: Sensor, seconds: Double = 5400,
    load: (Double) -> Bool = { _ in true }
  ) {
    let ladder = ThermalLadder(
      full: EngineLimits(batch: Board.batch, threads: Board.threads, pace: 1))
    var board = Board(ambientCelsius: ambientCelsius)
    var sensor = sensor
    var controller = controller
    var limits = ladder.full
    var budget = 1.0
    var lastDirection = 0.0
    var nextReading = 0.0
    let tick = 0.25
    for index in 0..<Int(seconds / tick) {
      let now = Double(index) * tick
      if controller != nil, now >= nextReading {
        let zone = ThermalReading.Zone(
          name: "thermal_zone0", type: "cpu-thermal", celsius: sensor.read(board.siliconCelsius),
          passiveCelsius: Board.passiveCelsius)
        let decision = controller!.update(ThermalReading(zones: [zone]), at: now)
        if decision.budget != budget {
          changes.append(now)
          let direction = decision.budget > budget ? 1.0 : -1.0
          if direction != lastDirection, lastDirection != 0 { reversals.append(now) }
          lastDirection = direction
          budget = decision.budget
        }
        limits = ladder.limits(budget: budget)
        nextReading = now + decision.restSeconds
      }
      let isBusy = load(now)
      let work = isBusy ? Board.throughput(limits) * tick : 0
      throughput += work / seconds
      if now >= seconds / 2 { lateThroughput += work / (seconds / 2) }
      board.advance(tick, under: isBusy ? limits : nil)
      hottestCelsius = max(hottestCelsius, board.siliconCelsius)
      if index % 20 == 0 {
        samples.append(
          Sample(
            seconds: now, siliconCelsius: board.siliconCelsius,
            heatsinkCelsius: board.heatsinkCelsius, limits: limits))
      }
    }
  }

  /// One line a sample, for a plot.
  func csv(ambientCelsius: Double, governed: Bool) -> String {
    samples.map { sample in
      "\(ambientCelsius),\(governed),\(sample.seconds),\(sample.siliconCelsius),"
        + "\(sample.heatsinkCelsius),\(sample.limits.batch),\(sample.limits.threads),"
        + "\(sample.limits.pace),\(Board.throughput(sample.limits))\n"
    }.joined()
  }
}
