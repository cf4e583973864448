/// Decides from temperatures how much work the engine may do. It reads no clock and no file: the
/// same readings at the same times give the same decisions.
///
/// Every reading is extrapolated by its slope over `horizonSeconds`; the budget moves in proportion
/// to how far that lies from a target just below the passive trip point, and rests while it lies
/// within a band. Summed over time this is a PI controller in velocity form, which cannot wind up
/// (Åström and Hägglund, "Advanced PID Control", 2006, section 3.5). Right below the trip point
/// itself a brake takes a third of the budget away every second.
package struct ThermalController: Sendable {
  package struct Settings: Sendable, Equatable {
    /// The target lies so far below the passive trip point, °C.
    package var marginCelsius = 2.0
    /// The budget rests while the extrapolation is so near to the target, °C.
    package var bandCelsius = 0.6
    /// A budget that rests is woken when the extrapolation leaves the target by more than this, °C.
    package var wakeCelsius = 1.2
    /// How far the slope is followed into the future.
    package var horizonSeconds = 300.0
    /// Budget for each °C of distance, over one horizon.
    package var gainPerCelsius = 0.04
    /// The slope is that of a straight line through so many seconds of readings.
    package var windowSeconds = 60.0
    /// Below the target by more than this nothing is ever lowered, °C.
    package var approachCelsius = 25.0
    /// The brake holds from here below the passive trip point on, °C …
    package var brakeCelsius = 0.5
    /// … where the temperature will be after so long: the engine obeys with its next step.
    package var brakeSeconds = 10.0
    /// Smaller changes of the budget are not passed on.
    package var smallestChange = 0.01
    /// What was lowered comes back at most so fast, budget a second.
    package var risePerSecond = 1.0 / 240
    /// And is passed on at most this often, seconds.
    package var raiseIntervalSeconds = 10.0
    /// While the kernel throttles all the same, the budget falls so fast, budget a second.
    package var fallPerSecond = 0.05

    /// A reading may wait so long while a full load would not bring a board near its trip point
    /// within that time.
    package var coolRestSeconds = 10.0
    /// And so long while there is no sensor.
    package var blindRestSeconds = 30.0

    package init() {}
  }

  /// Why the budget is what it is.
  package enum Cause: String, Sendable {
    /// No sensor said anything.
    case blind
    case steady, lowering, raising
    /// The passive trip point is near.
    case braking
    /// The kernel or the firmware throttles.
    case throttled
  }

  package struct Decision: Sendable, Equatable {
    /// Share of the full work, 0...1.
    package var budget: Double
    package var cause: Cause
    /// The zone that is nearest to its trip point.
    package var zone: ThermalReading.Zone?
    /// How long the next reading may wait.
    package var restSeconds: Double
  }

  private let settings: Settings
  /// What the rule asks for; `decided` follows it in steps that are worth passing on.
  private var budget = 1.0
  private var decided = 1.0
  private var isResting = false
  private var histories: [String: TemperatureHistory] = [:]
  private var lastSeconds: Double?
  private var lastBrakeSeconds = -Double.infinity
  private var lastRaiseSeconds = -Double.infinity

  package init(settings: Settings = Settings()) {
    self.settings = settings
  }

  /// - Parameter seconds: When `reading` was taken, on a clock that never goes back.
  package mutating func update(_ reading: ThermalReading, at seconds: Double) -> Decision {
    // After a suspend, the time in between says nothing.
    let elapsed = min(max(seconds - (lastSeconds ?? seconds), 0), 5)
    lastSeconds = seconds
    let hottest = note(reading, at: seconds)
    var cause = steer(hottest, elapsed: elapsed)
    let isNear = hottest.map { $0.headroom < 10 } ?? true
    if reading.isKernelThrottling, isNear {
      budget = min(budget, decided) - settings.fallPerSecond * elapsed
      cause = .throttled
    }
    if let hottest,
      hottest.headroom - max(0, hottest.slope) * settings.brakeSeconds <= settings.brakeCelsius
    {
      if seconds - lastBrakeSeconds >= 1 {
        budget = min(budget, decided) * 0.7
        lastBrakeSeconds = seconds
      }
      cause = .braking
    }
    budget = min(max(budget, 0), 1)
    pass(at: seconds)
    return Decision(
      budget: decided, cause: cause, zone: hottest?.zone, restSeconds: restSeconds(hottest))
  }

  /// Twice a second near the trip point, once a second on the way, and seldom while the board is so
  /// cool that nothing would be lowered: an idle board should sleep.
  private func restSeconds(_ hottest: Hottest?) -> Double {
    guard let hottest else { return settings.blindRestSeconds }
    if hottest.headroom < 7 || hottest.slope > 0.5 { return 0.5 }
    // The reading itself: the median of three would be slow to see it rise.
    let headroom = min(hottest.headroom, hottest.zone.passiveCelsius - hottest.zone.celsius)
    let isCool = decided == 1 && headroom > settings.approachCelsius && hottest.slope < 0.1
    return isCool ? settings.coolRestSeconds : 1
  }

  private struct Hottest {
    var zone: ThermalReading.Zone
    /// °C below the passive trip point.
    var headroom: Double
    /// °C a second.
    var slope: Double
    /// The smoothed temperature's distance below the target, °C.
    var distance: Double
  }

  /// Adds the reading to each zone's history and finds the one that leaves the least room.
  private mutating func note(_ reading: ThermalReading, at seconds: Double) -> Hottest? {
    let names = Set(reading.zones.map(\.name))
    histories = histories.filter { names.contains($0.key) }
    return reading.zones.map { zone -> Hottest in
      var history = histories[zone.name] ?? TemperatureHistory(seconds: settings.windowSeconds)
      let celsius = history.add(zone.celsius, at: seconds)
      histories[zone.name] = history
      let line = history.line(at: seconds)
      return Hottest(
        zone: zone, headroom: zone.passiveCelsius - celsius, slope: line.slope,
        distance: zone.passiveCelsius - settings.marginCelsius - line.celsius)
    }.min { prediction($0) < prediction($1) }
  }

  /// How far below the target the zone will be after the horizon, °C.
  private func prediction(_ hottest: Hottest) -> Double {
    hottest.distance - hottest.slope * settings.horizonSeconds
  }

  private mutating func steer(_ hottest: Hottest?, elapsed: Double) -> Cause {
    guard let hottest else {
      // A machine without sensors computes freely; one whose sensors fell silent stays as it is.
      return .blind
    }
    let room = prediction(hottest)
    isResting = abs(room) <= (isResting ? settings.wakeCelsius : settings.bandCelsius)
    if isResting { return .steady }
    let excess = room - min(max(room, -settings.bandCelsius), settings.bandCelsius)
    if excess < 0, hottest.distance > settings.approachCelsius { return .steady }
    let change = settings.gainPerCelsius / settings.horizonSeconds * excess * elapsed
    budget += min(change, settings.risePerSecond * elapsed)
    if excess > 0 { return budget < 1 ? .raising : .steady }
    return .lowering
  }

  /// Lets `decided` follow where the difference is worth it.
  private mutating func pass(at seconds: Double) {
    let isWorthIt = abs(budget - decided) >= settings.smallestChange
    let isEnd = (budget == 1 || budget == 0) && budget != decided
    guard isWorthIt || isEnd else { return }
    if budget > decided {
      guard seconds - lastRaiseSeconds >= settings.raiseIntervalSeconds else { return }
      lastRaiseSeconds = seconds
    }
    decided = budget
  }
}
