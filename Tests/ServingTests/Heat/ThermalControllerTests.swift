import Serving
import Testing

@Suite struct ThermalControllerTests {
  private func zone(_ celsius: Double, _ name: String = "thermal_zone0") -> ThermalReading.Zone {
    ThermalReading.Zone(name: name, type: "cpu", celsius: celsius, passiveCelsius: 80)
  }

  /// Feeds one reading a second and returns the last decision.
  private func feed(
    _ controller: inout ThermalController, from start: Int = 0, _ readings: [ThermalReading]
  ) -> ThermalController.Decision? {
    var last: ThermalController.Decision?
    for (index, reading) in readings.enumerated() {
      last = controller.update(reading, at: Double(start + index))
    }
    return last
  }

  @Test func coldAndUnknownMachinesComputeFreely() {
    var controller = ThermalController()
    let blind = feed(&controller, Array(repeating: ThermalReading(zones: []), count: 60))
    #expect(blind?.budget == 1)
    #expect(blind?.cause == .blind)
    let cold = feed(
      &controller, from: 60, Array(repeating: ThermalReading(zones: [zone(40)]), count: 60))
    #expect(cold?.budget == 1)
    #expect(cold?.restSeconds == 10)
  }

  @Test func lowersBeforeTheTripPointWhenTheSlopeSaysSo() {
    var controller = ThermalController()
    // Half a degree a second from 60 °C on: 80 is 40 seconds away.
    let decision = feed(
      &controller, (0..<30).map { ThermalReading(zones: [zone(60 + Double($0) / 2)]) })
    #expect(decision!.budget < 0.9)
    #expect(decision!.cause == .lowering)
  }

  @Test func brakesAtTheTripPoint() {
    var controller = ThermalController()
    _ = feed(&controller, Array(repeating: ThermalReading(zones: [zone(70)]), count: 10))
    let decision = feed(
      &controller, from: 10, Array(repeating: ThermalReading(zones: [zone(79.9)]), count: 12))
    #expect(decision!.cause == .braking)
    #expect(decision!.budget < 0.1)
    #expect(decision!.restSeconds == 0.5)
  }

  /// An idle board sleeps; one that warms up is looked at.
  @Test func readsTheMoreOftenTheHotterItIs() {
    func rest(_ celsius: [Double]) -> Double? {
      var controller = ThermalController()
      return feed(&controller, celsius.map { ThermalReading(zones: [zone($0)]) })?.restSeconds
    }
    func steady(_ celsius: Double) -> [Double] { Array(repeating: celsius, count: 30) }
    #expect(rest(steady(45)) == 10)
    // One reading is enough to look again soon.
    #expect(rest(steady(45) + [60]) == 1)
    #expect(rest(steady(60)) == 1)
    #expect(rest(steady(75)) == 0.5)
    #expect(rest((0..<30).map { 30 + Double($0) * 0.2 }) == 1)
    #expect(rest((0..<30).map { 30 + Double($0) * 0.7 }) == 0.5)
  }

  @Test func oneWildReadingMovesNothing() {
    var controller = ThermalController()
    var readings = Array(repeating: ThermalReading(zones: [zone(50)]), count: 40)
    readings[20] = ThermalReading(zones: [zone(149)])
    #expect(feed(&controller, readings)?.budget == 1)
  }

  @Test func theHottestZoneGoverns() {
    var controller = ThermalController()
    let zones = [zone(50), zone(79.8, "thermal_zone1")]
    let decision = feed(
      &controller, Array(repeating: ThermalReading(zones: zones), count: 10))
    #expect(decision!.zone?.name == "thermal_zone1")
    #expect(decision!.budget < 0.5)
  }

  @Test func sensorsThatFallSilentChangeNothing() {
    var controller = ThermalController()
    let hot = feed(
      &controller, Array(repeating: ThermalReading(zones: [zone(79.9)]), count: 5))!
    let silent = feed(
      &controller, from: 5, Array(repeating: ThermalReading(zones: []), count: 100))!
    #expect(hot.budget < 0.5)
    #expect(silent.budget == hot.budget)
  }

  @Test func followsTheKernelWhenItThrottles() {
    var controller = ThermalController()
    let throttled = ThermalReading(zones: [zone(75)], isKernelThrottling: true)
    let decision = feed(&controller, Array(repeating: throttled, count: 10))!
    #expect(decision.cause == .throttled)
    #expect(decision.budget < 0.6)
    // Far from the trip point something else is being cooled.
    var other = ThermalController()
    let cool = ThermalReading(zones: [zone(45)], isKernelThrottling: true)
    #expect(feed(&other, Array(repeating: cool, count: 10))!.budget == 1)
  }

  @Test func comesBackWhenItIsCool() {
    var controller = ThermalController()
    let hot = feed(&controller, Array(repeating: ThermalReading(zones: [zone(79.9)]), count: 10))!
    #expect(hot.budget < 0.1)
    let cool = Array(repeating: ThermalReading(zones: [zone(40)]), count: 60)
    let soon = feed(&controller, from: 10, cool)!
    #expect(soon.budget > hot.budget && soon.budget < 0.5)
    _ = feed(&controller, from: 70, cool + cool + cool + cool + cool)
    #expect(feed(&controller, from: 400, cool)!.budget == 1)
  }

  @Test func clocksThatJumpDoNoHarm() {
    var controller = ThermalController()
    for seconds in [0.0, 1, 2, 100_000, 100_001, 100_001, 100_000, 1, 100_002] {
      let decision = controller.update(ThermalReading(zones: [zone(50)]), at: seconds)
      #expect(decision.budget == 1)
    }
  }

  @Test func ladderLowersBatchThenThreadsThenPace() {
    let ladder = ThermalLadder(full: EngineLimits(batch: 4, threads: 4, pace: 1))
    #expect(ladder.limits(budget: 1) == EngineLimits(batch: 4, threads: 4, pace: 1))
    var last = ladder.full
    for thousandths in stride(from: 1000, through: 0, by: -1) {
      let limits = ladder.limits(budget: Double(thousandths) / 1000)
      #expect(limits.batch <= last.batch && limits.threads <= last.threads)
      #expect(
        Double(limits.threads) * limits.pace <= Double(last.threads) * last.pace + 1e-9)
      #expect(limits.batch == 1 || limits.threads == 4)
      #expect(limits.threads == 4 || limits.batch == 1)
      last = limits
    }
    #expect(last == EngineLimits(batch: 1, threads: 1, pace: 0.1))
    #expect(ladder.limits(budget: 0.45) == EngineLimits(batch: 1, threads: 2, pace: 1))
    let single = ThermalLadder(full: EngineLimits(batch: 1, threads: 1, pace: 1))
    #expect(single.limits(budget: 1) == EngineLimits(batch: 1, threads: 1, pace: 1))
    #expect(single.limits(budget: 0.5) == EngineLimits(batch: 1, threads: 1, pace: 0.5))
    let slow = ThermalLadder(full: EngineLimits(batch: 2, threads: 2, pace: 0.5))
    #expect(slow.limits(budget: 1) == EngineLimits(batch: 2, threads: 2, pace: 0.5))
    #expect(slow.limits(budget: 0.225) == EngineLimits(batch: 1, threads: 1, pace: 0.25))
  }
}
