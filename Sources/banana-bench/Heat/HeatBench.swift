import ArgumentParser
import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Proves the thermal governor on the engine's real load: a real bananad draws for several clients,
/// and the processor time that it takes is turned into the heat of a simulated board, whose sensor
/// it reads.
struct HeatBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "heat",
    abstract: "Govern the heat of a simulated board under the real load of a real bananad.")

  /// Where the models are is its option.
  @ParentCommand var bench: BananaBench

  @Option(help: "Temperatures of the rooms, °C.")
  var ambients: [Double] = [15, 25, 35, 45]

  @Option(help: "How long each board is under load, minutes on its own clock.")
  var minutes = 60.0

  @Option(help: "How many times faster than the clock time goes on the board, 1 to 1000.")
  var rate = 40.0

  @Option(help: "Seconds for each constant setting of the grid.")
  var gridSeconds = 3.0

  @Flag(
    help: """
      Run the governed and the constant setting at the same time, so that other programs of the \
      machine slow both down alike.
      """)
  var sideBySide = false

  @Option(help: "Where the figures for scripts/plot-thermal go.")
  var csv: String?

  private var cores: Int { ProcessInfo.processInfo.activeProcessorCount }
  private var full: HeatRun.Constant { .init(batch: 4, threads: cores, pace: 1) }
  private var seconds: Double { minutes * 60 / rate }

  func validate() throws {
    if !(1...1000).contains(rate) { throw ValidationError("--rate must be 1 to 1000") }
    if !(1...10_000).contains(minutes) { throw ValidationError("--minutes must be 1 to 10000") }
    if !(1...600).contains(gridSeconds) {
      throw ValidationError("--grid-seconds must be 1 to 600")
    }
    if ambients.isEmpty { throw ValidationError("--ambients needs a temperature") }
  }

  func run() async throws {
    var figures = HeatFigures(cores: cores)
    let grid = try await measureGrid()
    // Nothing governs, so one load heats the boards of all rooms.
    let free = try await measure(full, seconds: seconds / 2, ambients, isGoverned: false)
    for (index, ambient) in ambients.enumerated() {
      figures.add(free, board: index, ambient, governed: false)
    }
    say(HeatFigures.header)
    for (index, ambient) in ambients.enumerated() {
      guard let best = grid.best(ambientCelsius: ambient) else {
        throw HeatError.coldBoard(ambientCelsius: ambient)
      }
      let (governed, constant) = try await compare(best.setting, ambient)
      figures.add(governed, board: 0, ambient, governed: true)
      say(
        HeatFigures.row(
          ambient, free: free.last!.boards[index], governed, best: best, constant))
    }
    if let csv { try Data(figures.csv.utf8).write(to: URL(filePath: csv), options: .atomic) }
  }

  /// The governed run, and those of the constant setting that it is compared with.
  private func compare(
    _ setting: HeatRun.Constant, _ ambient: Double
  ) async throws -> (governed: [HeatRun.Sample], constant: [[HeatRun.Sample]]) {
    if sideBySide {
      async let constant = measure(setting, seconds: seconds, [ambient], isGoverned: false)
      let governed = try await measure(full, seconds: seconds, [ambient], isGoverned: true)
      return (governed, [try await constant])
    }
    // Before and after it, for the machine may be slower or faster than it was for the grid.
    let before = try await measure(setting, seconds: seconds / 4, [ambient], isGoverned: false)
    let governed = try await measure(full, seconds: seconds, [ambient], isGoverned: true)
    let after = try await measure(setting, seconds: seconds / 4, [ambient], isGoverned: false)
    return (governed, [before, after])
  }

  private func measureGrid() async throws -> ConstantGrid {
    var grid = ConstantGrid()
    say("batch threads pace   pictures/s   load of \(cores) cores   pictures/core-second")
    for batch in ConstantGrid.batches {
      for threads in 1...cores {
        for pace in ConstantGrid.paces {
          let setting = HeatRun.Constant(batch: batch, threads: threads, pace: pace)
          let samples = try await measure(
            setting, seconds: gridSeconds, ambients, isGoverned: false)
          grid.add(setting, samples, cores: cores)
          if let cell = grid.cells.last {
            let efficiency = cell.picturesPerSecond / (cell.load * Double(cores))
            say(
              "\(batch) \(threads) \(pace)   \(cell.picturesPerSecond.rounded(to: 100))   "
                + "\(cell.load.rounded(to: 1000))   \(efficiency.rounded(to: 100))")
          }
        }
      }
    }
    return grid
  }

  /// Prints at once: a run takes minutes, and somebody may watch.
  private func say(_ text: String) {
    print(text)
    fflush(nil)
  }

  private func measure(
    _ constant: HeatRun.Constant, seconds: Double, _ ambients: [Double], isGoverned: Bool
  ) async throws -> [HeatRun.Sample] {
    try await HeatRun(
      models: bench.models, constant: constant, clockRate: rate, seconds: seconds,
      ambients: ambients,
      isGoverned: isGoverned, cores: cores
    ).measure()
  }
}
