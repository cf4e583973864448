import Foundation
import Serving
import Testing

/// The promise of the thermal governor, on a simulated board in four rooms. One after another: they
/// compute for long, and other suites wait for timers meanwhile.
@Suite(.serialized) struct ThermalSimulationTests {
  static let ambients = [15.0, 25, 35, 45]
  static let sensors = [
    Sensor(stepCelsius: 0, noiseCelsius: 0, seed: 1),
    Sensor(stepCelsius: 0.5, noiseCelsius: 0.15, seed: 2),
    Sensor(stepCelsius: 1, noiseCelsius: 0.3, seed: 3),
  ]

  @Test(arguments: ambients, 0..<3)
  func governedBoardStaysCoolAndFast(ambient: Double, sensor: Int) {
    let run = BoardRun(
      ambientCelsius: ambient, controller: ThermalController(), sensor: Self.sensors[sensor])
    let best = Board(ambientCelsius: ambient).bestConstant()
    #expect(run.hottestCelsius < Board.passiveCelsius)
    #expect(run.throughput >= 0.9 * Board.throughput(best))
    #expect(run.lateThroughput >= 0.9 * Board.throughput(best))
    // In the last 45 minutes the room and the load are constant.
    #expect(run.changes.count { $0 > 2700 } <= 8)
    #expect(run.reversals.count { $0 > 2700 } <= 4)
  }

  @Test(arguments: ambients)
  func ungovernedBoardCrossesTheTripPoint(ambient: Double) {
    let run = BoardRun(ambientCelsius: ambient, controller: nil, sensor: Self.sensors[0])
    #expect(run.hottestCelsius > Board.passiveCelsius)
  }

  /// Apps ask now and then: the heatsink is hot already when the next load comes.
  @Test(arguments: [15.0, 45], [(300.0, 200.0), (60, 30), (20, 10)])
  func burstsStayBelowTheTripPoint(ambient: Double, burst: (period: Double, work: Double)) {
    let run = BoardRun(
      ambientCelsius: ambient, controller: ThermalController(), sensor: Self.sensors[1],
      seconds: 2700
    ) { $0.truncatingRemainder(dividingBy: burst.period) < burst.work }
    #expect(run.hottestCelsius < Board.passiveCelsius)
  }

  @Test func coolBoardIsLeftAlone() {
    let run = BoardRun(
      ambientCelsius: -20, controller: ThermalController(), sensor: Self.sensors[2])
    #expect(run.hottestCelsius < 70)
    #expect(run.changes.isEmpty)
  }

  /// Writes what scripts/plot-thermal draws.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["BANANA_THERMAL_CSV"] != nil))
  func writesTheFiguresForThePlot() throws {
    var text = "ambient,governed,seconds,silicon,heatsink,batch,threads,pace,throughput\n"
    for ambient in Self.ambients {
      let best = Board(ambientCelsius: ambient).bestConstant()
      let run = BoardRun(
        ambientCelsius: ambient, controller: ThermalController(), sensor: Self.sensors[1])
      let free = BoardRun(ambientCelsius: ambient, controller: nil, sensor: Self.sensors[1])
      text += run.csv(ambientCelsius: ambient, governed: true)
      text += free.csv(ambientCelsius: ambient, governed: false)
      print(
        "| \(ambient) | \(free.hottestCelsius) | \(run.hottestCelsius) "
          + "| \(best.threads) × \(best.pace) at batch \(best.batch) "
          + "| \(run.lateThroughput / Board.throughput(best)) "
          + "| \(run.throughput / Board.throughput(best)) "
          + "| \(run.changes.count) | \(run.changes.count { $0 > 2700 }) |")
    }
    let path = try #require(ProcessInfo.processInfo.environment["BANANA_THERMAL_CSV"])
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }
}
