import BananaAPI

/// What is told of the runs: a table for people and figures for the plot.
struct HeatFigures {
  static let header = """

    | room, °C | hottest without, °C | hottest with, °C | second half, lowest to highest, °C | \
    best constant setting; where it ends, °C | pictures/s, governed | constant | of it | \
    of it, second half | pictures/core-s, of it | changes of limits | in the second half |
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
    """

  /// What the throughput of the plot is averaged over, on the clock.
  private static let plotSeconds = 2.0

  let cores: Int
  private(set) var csv =
    "ambient,governed,seconds,silicon,heatsink,batch,threads,pace,throughput\n"

  init(cores: Int) {
    self.cores = cores
  }

  mutating func add(
    _ samples: [HeatRun.Sample], board: Int, _ ambient: Double, governed: Bool
  ) {
    var first = 0
    for sample in samples {
      while sample.seconds - samples[first].seconds > Self.plotSeconds { first += 1 }
      let elapsed = max(sample.seconds - samples[first].seconds, 0.1)
      let rate = Double(sample.pictures - samples[first].pictures) / elapsed
      csv +=
        "\(ambient),\(governed),\(sample.boardSeconds),"
        + "\(sample.boards[board].siliconCelsius),\(sample.boards[board].heatsinkCelsius),"
        + "\(sample.limits.batch),\(sample.limits.threads),\(sample.limits.pace),\(rate)\n"
    }
  }

  static func row(
    _ ambient: Double, free: SimulatedBoard, _ governed: [HeatRun.Sample],
    best: ConstantGrid.Cell, _ constant: [[HeatRun.Sample]]
  ) -> String {
    let late = Array(governed[(governed.count / 2)...])
    let celsius = late.map { $0.boards[0].siliconCelsius }
    let ours = rates([governed])
    let settled = rates([late])
    let theirs = rates(constant)
    func percent(_ one: Double, _ other: Double) -> String {
      "\((one / other * 100).rounded(to: 10)) %"
    }
    let end = SimulatedBoard.finalCelsius(load: best.load, ambientCelsius: ambient)
    let cells = [
      "\(ambient)", "\(hottest(free))", "\(hottest(governed.last!.boards[0]))",
      "\(celsius.min()!.rounded(to: 10)) to \(celsius.max()!.rounded(to: 10))",
      "batch \(best.setting.batch), threads \(best.setting.threads), "
        + "pace \(best.setting.pace); \(end.rounded(to: 10))",
      "\(ours.perSecond.rounded(to: 100))", "\(theirs.perSecond.rounded(to: 100))",
      percent(ours.perSecond, theirs.perSecond), percent(settled.perSecond, theirs.perSecond),
      percent(settled.perCoreSecond, theirs.perCoreSecond),
      "\(changes(governed))", "\(changes(late))",
    ]
    return "| " + cells.joined(separator: " | ") + " |"
  }

  private static func hottest(_ board: SimulatedBoard) -> Double {
    board.hottestCelsius.rounded(to: 100)
  }

  private static func rates(
    _ runs: [[HeatRun.Sample]]
  ) -> (perSecond: Double, perCoreSecond: Double) {
    func sum(_ figure: (HeatRun.Sample) -> Double) -> Double {
      runs.reduce(0) { $0 + figure($1.last!) - figure($1.first!) }
    }
    let pictures = sum { Double($0.pictures) }
    return (pictures / sum(\.seconds), pictures / sum(\.coreSeconds))
  }

  private static func changes(_ samples: [HeatRun.Sample]) -> Int {
    zip(samples, samples.dropFirst()).count { $0.limits != $1.limits }
  }
}

extension Double {
  /// To a fraction such as hundredths, for 100.
  func rounded(to fraction: Double) -> Double { (self * fraction).rounded() / fraction }
}
