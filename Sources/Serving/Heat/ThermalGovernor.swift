package import BananaAPI
package import Logging
import ServiceLifecycle
import Synchronization

/// Keeps the board below the temperature at which the kernel would slow it down: reads the sensors,
/// decides, tells the engine, and logs each decision that changes something.
package final class ThermalGovernor: Service, Sendable {
  private struct State {
    var decision = ThermalController.Decision(budget: 1, cause: .blind, zone: nil, restSeconds: 0)
    var reading = ThermalReading(zones: [])
    var limits: EngineLimits
  }

  private let ladder: ThermalLadder
  private let logger: Logger
  private let settings: ThermalController.Settings
  private let sysfsRoot: String
  private let clockRate: Double
  private let apply: @Sendable (EngineLimits) -> Void
  private let state: Mutex<State>

  /// - Parameters:
  ///   - sysfsRoot: Where the sensors are.
  ///   - ladder: What the engine may use on a cool machine.
  ///   - clockRate: How many times faster than the clock time goes on the board, in simulations.
  ///   - apply: Takes new limits to the engine; called only when they change.
  package init(
    sysfsRoot: String = "/sys", ladder: ThermalLadder,
    settings: ThermalController.Settings = .init(), clockRate: Double = 1, logger: Logger,
    apply: @escaping @Sendable (EngineLimits) -> Void
  ) {
    self.apply = apply
    self.sysfsRoot = sysfsRoot
    self.ladder = ladder
    self.settings = settings
    self.clockRate = clockRate
    self.logger = logger
    state = Mutex(State(limits: ladder.full))
  }

  /// Whether pictures come more slowly than they could, because of heat.
  package var isLimiting: Bool {
    state.withLock { $0.limits != ladder.full }
  }

  /// For `/v1/status`.
  package var status: ThermalStatus {
    state.withLock { state in
      ThermalStatus(
        isLimited: state.limits != ladder.full, budget: state.decision.budget,
        limits: .init(
          batch: state.limits.batch, threads: state.limits.threads, pace: state.limits.pace),
        zone: state.decision.zone.map {
          .init(type: $0.type, celsius: $0.celsius, passiveCelsius: $0.passiveCelsius)
        },
        isKernelThrottling: state.reading.isKernelThrottling,
        isUnderVoltage: state.reading.isUnderVoltage, clockLimit: state.reading.clockLimit)
    }
  }

  /// Reads and decides, the more often the hotter it is, until the service group shuts down.
  package func run() async throws {
    try? await cancelWhenGracefulShutdown { try await self.watch() }
  }

  private func watch() async throws {
    var source = SysfsThermalSource(root: sysfsRoot)
    var controller = ThermalController(settings: settings)
    let start = ContinuousClock.now
    announce(source.read())
    while true {
      let reading = source.read()
      let seconds = (ContinuousClock.now - start) / .seconds(1) * clockRate
      let decision = controller.update(reading, at: seconds)
      carryOut(decision, reading)
      let rest = Duration.seconds(decision.restSeconds / clockRate)
      // The idle board's timers may fire together.
      try await Task.sleep(for: rest, tolerance: rest / 10)
    }
  }

  private func carryOut(_ decision: ThermalController.Decision, _ reading: ThermalReading) {
    let limits = ladder.limits(budget: decision.budget)
    let before = state.withLock { state in
      let before = (limits: state.limits, reading: state.reading)
      state.decision = decision
      state.reading = reading
      state.limits = limits
      return before
    }
    if limits != before.limits {
      apply(limits)
      log(decision, limits)
    }
    if reading.isUnderVoltage, !before.reading.isUnderVoltage {
      logger.warning(
        "the board reports under-voltage and slows down; use a stronger power supply or cable")
    }
    if reading.isKernelThrottling, !before.reading.isKernelThrottling {
      logger.warning("the kernel throttles the processor", metadata: facts(decision.zone))
    }
  }

  private func announce(_ reading: ThermalReading) {
    if reading.zones.isEmpty {
      logger.notice(
        "no thermal sensor of the processor found, so heat is not governed",
        metadata: ["sysfs": "\(sysfsRoot)"])
    }
    for zone in reading.zones { logger.info("watching", metadata: facts(zone)) }
  }

  private func log(_ decision: ThermalController.Decision, _ limits: EngineLimits) {
    var metadata = facts(decision.zone)
    metadata["cause"] = "\(decision.cause.rawValue)"
    metadata["batch"] = "\(limits.batch)"
    metadata["threads"] = "\(limits.threads)"
    metadata["pace"] = "\((limits.pace * 100).rounded() / 100)"
    logger.notice("heat: new limits", metadata: metadata)
  }

  private func facts(_ zone: ThermalReading.Zone?) -> Logger.Metadata {
    guard let zone else { return [:] }
    return [
      "zone": "\(zone.type)", "celsius": "\(zone.celsius)", "passive": "\(zone.passiveCelsius)",
    ]
  }
}
