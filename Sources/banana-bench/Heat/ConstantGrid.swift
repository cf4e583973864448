/// What constant settings give, measured one after another: neither pictures nor watts depend on
/// the room, so the best setting of every room is in the same grid.
struct ConstantGrid {
  struct Cell {
    var setting: HeatRun.Constant
    var picturesPerSecond: Double
    /// Core-seconds a second, as a share of all cores.
    var load: Double
  }

  static let batches = [1, 4]
  static let paces = [0.25, 0.5, 0.75, 1]

  private(set) var cells: [Cell] = []

  mutating func add(_ setting: HeatRun.Constant, _ samples: [HeatRun.Sample], cores: Int) {
    guard let last = samples.last else { return }
    cells.append(
      Cell(
        setting: setting, picturesPerSecond: Double(last.pictures) / last.seconds,
        load: last.coreSeconds / last.seconds / Double(cores)))
  }

  /// The setting that draws the most and whose mean load ends below the trip point; paces in
  /// hundredths, on straight lines between those that were measured.
  func best(ambientCelsius: Double) -> Cell? {
    let lines = Dictionary(grouping: cells) { [$0.setting.batch, $0.setting.threads] }.values
    return lines.flatMap(Self.filled).filter {
      SimulatedBoard.finalCelsius(load: $0.load, ambientCelsius: ambientCelsius)
        < SimulatedBoard.passiveCelsius
    }.max { $0.picturesPerSecond < $1.picturesPerSecond }
  }

  private static func filled(_ line: [Cell]) -> [Cell] {
    let line = line.sorted { $0.setting.pace < $1.setting.pace }
    return zip(line, line.dropFirst()).flatMap { low, high in
      let first = Int((low.setting.pace * 100).rounded())
      let last = Int((high.setting.pace * 100).rounded())
      return (first...last).map { hundredths in
        let part = Double(hundredths - first) / Double(last - first)
        func between(_ a: Double, _ b: Double) -> Double { a + part * (b - a) }
        var setting = low.setting
        setting.pace = Double(hundredths) / 100
        return Cell(
          setting: setting,
          picturesPerSecond: between(low.picturesPerSecond, high.picturesPerSecond),
          load: between(low.load, high.load))
      }
    }
  }
}
