import ArgumentParser
import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Puts a real daemon under load that nothing real would, and says which promises it kept.
@main
struct BananaSoak: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "banana-soak",
    abstract: "Puts a real bananad under load and checks what it promises.",
    subcommands: [Storm.self, Besiege.self, Memory.self, Client.self], defaultSubcommand: Storm.self
  )
}

/// What both runs need.
struct DaemonOptions: ParsableArguments {
  @Option(help: "The bananad to test.")
  var daemon: String

  @Option(help: "Folder with the model packages.")
  var models = "models"

  @Option(help: "Folder with the peels that ship.")
  var peels = "peels"

  @Option(help: "Replays the choices of an earlier run. Default: another each time.")
  var seed: UInt64?

  /// Prints what a run found.
  /// - Throws: `ExitCode.failure` if a promise was broken.
  func conclude(
    _ checks: [Check], _ report: ClientReport, seed: UInt64,
    unexplained: [ClientReport.Interruption], siege: SiegeChecks? = nil
  ) throws {
    if let siege { print("\n\(siege.table)") }
    print("\n\(SoakReport.table(checks))\n\n\(SoakReport.outcomes(report))\n")
    for failure in report.failures.prefix(20) { print("- \(failure)") }
    for one in unexplained.prefix(20) { print("- cut off: \(one.what)") }
    let broken = checks.count { $0.verdict == .broken }
    print(broken == 0 ? "All kept (seed \(seed))." : "\(broken) FAILED (seed \(seed)).")
    if broken > 0 { throw ExitCode.failure }
  }
}

struct Storm: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: """
      32 clients of three users, some of them rude, and restarts in the middle; then a siege by \
      one of them.
      """)

  @OptionGroup var options: DaemonOptions

  @Option(help: "How long the clients go on, altogether; a siege takes as long again.")
  var minutes = 3.0

  func run() async throws {
    let seed = options.seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("seed \(seed)")
    let result = try await SoakRun(
      daemonPath: options.daemon, models: options.models, peels: options.peels, minutes: minutes,
      seed: seed
    ).run()
    try options.conclude(
      result.checks, result.report, seed: seed, unexplained: result.unexplained,
      siege: result.siege)
  }
}

struct Besiege: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "siege",
    abstract: "Two users who draw, and a third who means harm, of one kind after another; as root.")

  @OptionGroup var options: DaemonOptions

  @Option(help: "How long it takes; at least a second and a half for each kind.")
  var minutes = 3.0

  @Option(
    name: .customLong("kind"), parsing: .upToNextOption,
    help: "What the third does. Default: everything. One of \(Self.kindNames).")
  var kinds: [HostileKind] = HostileKind.allCases

  private static let kindNames = HostileKind.allCases.map(\.rawValue).joined(separator: ", ")

  func validate() throws {
    guard geteuid() == 0 else {
      throw ValidationError("A siege is between three users. Run it as root.")
    }
  }

  func run() async throws {
    let seed = options.seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("seed \(seed)")
    let result = try await SoakRun(
      daemonPath: options.daemon, models: options.models, peels: options.peels, minutes: minutes,
      seed: seed
    ).besiege(by: kinds)
    try options.conclude(
      result.checks, result.report, seed: seed, unexplained: result.unexplained,
      siege: result.siege)
  }
}

extension HostileKind: ExpressibleByArgument {}

struct Memory: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Many requests to a daemon in a control group with little memory.")

  @OptionGroup var options: DaemonOptions

  @Option(help: "How many requests to send.")
  var requests = 10_000

  @Option(help: "The control group's limit.")
  var limitMebibytes = 144

  func run() async throws {
    let seed = options.seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("seed \(seed)")
    let result = try await MemoryRun(
      daemonPath: options.daemon, models: options.models, peels: options.peels,
      requests: requests, limitBytes: limitMebibytes << 20, seed: seed
    ).run()
    try options.conclude(
      result.checks, result.report, seed: seed, unexplained: result.report.interruptions)
  }
}

struct Client: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One client of a run, which starts it.", shouldDisplay: false)

  @Option var plan: String
  @Option var kindSeed: UInt64

  func run() async throws {
    let plan = try JSONDecoder().decode(ClientPlan.self, from: Data(plan.utf8))
    try await ClientProcess.live(plan, kindSeed: kindSeed)
  }
}
