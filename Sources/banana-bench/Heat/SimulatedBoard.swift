/// A passively cooled board as two bodies that hold heat, one behind the other: the silicon and the
/// heatsink. `C dT/dt = power in - (T - T outside) / R` for each.
struct SimulatedBoard: Sendable {
  /// Where the kernel of the board slows its processor down.
  static let passiveCelsius = 85.0
  /// What the board draws when nothing computes.
  static let idleWatts = 1.2
  /// What a board of any number of cores draws more when all of them compute.
  static let computingWatts = 14.0
  static let silicon = (kelvinPerWatt: 1.5, joulesPerKelvin: 3.0)
  static let heatsink = (kelvinPerWatt: 8.0, joulesPerKelvin: 60.0)

  let ambientCelsius: Double
  private(set) var siliconCelsius: Double
  private(set) var heatsinkCelsius: Double
  /// The highest that the silicon was.
  private(set) var hottestCelsius: Double

  /// A board that has been idle for long.
  init(ambientCelsius: Double) {
    self.ambientCelsius = ambientCelsius
    heatsinkCelsius = ambientCelsius + Self.idleWatts * Self.heatsink.kelvinPerWatt
    siliconCelsius = heatsinkCelsius + Self.idleWatts * Self.silicon.kelvinPerWatt
    hottestCelsius = siliconCelsius
  }

  /// Power under a load.
  /// - Parameter load: Core-seconds a second, as a share of all cores.
  static func watts(load: Double) -> Double { idleWatts + computingWatts * load }

  /// Where a constant load ends, °C.
  static func finalCelsius(load: Double, ambientCelsius: Double) -> Double {
    ambientCelsius + watts(load: load) * (silicon.kelvinPerWatt + heatsink.kelvinPerWatt)
  }

  /// Lets `seconds` pass under a load.
  mutating func advance(_ seconds: Double, load: Double) {
    // Far shorter than the silicon's 4.5 s.
    let steps = max(1, (seconds / 0.1).rounded(.up))
    for _ in 0..<Int(steps) { step(seconds / steps, load: load) }
  }

  private mutating func step(_ seconds: Double, load: Double) {
    let flow = (siliconCelsius - heatsinkCelsius) / Self.silicon.kelvinPerWatt
    let loss = (heatsinkCelsius - ambientCelsius) / Self.heatsink.kelvinPerWatt
    siliconCelsius += seconds * (Self.watts(load: load) - flow) / Self.silicon.joulesPerKelvin
    heatsinkCelsius += seconds * (flow - loss) / Self.heatsink.joulesPerKelvin
    hottestCelsius = max(hottestCelsius, siliconCelsius)
  }
}
