import ArgumentParser
import CPUBackend
import Diffusion
import Execution
import Graph
import Models
import TensorTypes
import VulkanBackend
import Weights

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Measures the resident model stage by stage, as a fraction of what this machine can do.
@main
struct BananaBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "banana-bench",
    abstract: "Measure each stage of a model as a fraction of this machine's own peak.",
    subcommands: [
      CompareNetworks.self, HeatBench.self, MakeModel.self, MatmulBench.self, RowsBench.self,
    ])

  @Option(help: "A model package, or a folder with packages: of those, the one called sticker.")
  var models = "models"

  @Option(help: "Another package of that folder.")
  var model: String?

  @Option(help: "Worker threads; as many as there are processors if not given.")
  var threads: Int?

  @Option(help: "int8, or float32 for the exact mode.")
  var activations: ActivationFormat = .int8

  @Option(
    help: "cpu, or vulkan:N: a GPU by its number in banana doctor. Its own peak is not measured.",
    transform: { text in
      guard let choice = BackendChoice(text) else {
        throw ValidationError("There is no backend \"\(text)\": cpu, vulkan or vulkan:N.")
      }
      return choice
    })
  var backend = BackendChoice.cpu

  @Option(help: "Counted runs of each stage.")
  var runs = 15

  @Flag(help: "Show what each kind of step takes.")
  var steps = false

  @Option(help: "Only the stage of this name: \"denoiser, guided\".")
  var stage: String?

  /// The package that is meant.
  var package: String {
    let isPackage = FileManager.default.fileExists(atPath: models + "/model.json")
    if let model { return models + "/" + model }
    return isPackage ? models : models + "/sticker"
  }

  func validate() throws {
    if runs < 1 { throw ValidationError("--runs must be at least 1") }
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
  }

  func run() throws {
    let (backend, peak) = try makeBackend()
    let start = ContinuousClock.now
    let model = try LoadedModel(path: package)
    let openMilliseconds = milliseconds(ContinuousClock.now - start)
    let networks = BoundModel(
      family: model.family, stores: model.stores, backend: backend, activations: activations)

    print("\(backend.name), activations \(activations.rawValue)")
    if let peak {
      print(
        "measured peak: int8 \(rounded(peak.int8 / 1e9)) GOP/s, "
          + "f32 \(rounded(peak.float32 / 1e9)) GFLOP/s")
    }
    print(
      "model \(model.manifest.name) \(model.manifest.version): opened and checked in "
        + "\(rounded(openMilliseconds)) ms, \(model.weightBytes >> 20) MiB mapped\n")
    print(row("stage", "ms", "GOP", "GOP/s", "of peak", "peak MiB"))
    let stages = Stage.all(of: model).filter { stage == nil || $0.name == stage }
    if stages.isEmpty {
      let known = Stage.all(of: model).map { "\"\($0.name)\"" }
      throw ValidationError(
        "There is no such stage. There are \(known.joined(separator: ", ")).")
    }
    for stage in stages { try measure(stage, networks, backend, peak: peak) }
    if stage == nil {
      try measureSwap(model, networks, backend, peak: peak)
      try measureWhole(model, backend)
    }
    print("\nbeside the mapped weights: \(networks.residency.byteCount >> 20) MiB")
  }

  /// What computes, and what it can do at best; nil where that is not measured.
  private func makeBackend() throws -> (any Backend, Peak?) {
    switch backend {
    case .cpu:
      let cpu = CPUBackend(
        threadCount: threads ?? ProcessInfo.processInfo.activeProcessorCount)
      return (cpu, cpu.measurePeak())
    case .vulkan(let index): return (try VulkanBackend(deviceIndex: index), nil)
    }
  }

  private func measure(
    _ stage: Stage, _ networks: BoundModel, _ backend: any Backend, peak: Peak?,
    peels: PeelMix? = nil
  ) throws {
    let session = try networks.session(
      stage.network, stage.extents, peels: peels)
    stage.fill(session)
    try session.run()
    let times = try (0..<runs).map { _ in
      let start = ContinuousClock.now
      try session.run()
      return milliseconds(ContinuousClock.now - start)
    }
    let median = times.sorted()[runs / 2]
    let operations = Double(session.plan.graph.operationCount) / 1e9
    let rate = operations / median * 1e3
    let ceiling = peak.map { activations == .int8 ? $0.int8 : $0.float32 }
    print(
      row(
        stage.name, rounded(median), rounded(operations), rounded(rate),
        ceiling.map { "\(Int((1e11 * rate / $0).rounded())) %" } ?? "",
        rounded(Double(backend.peakBytes(of: session.plan)) / 1_048_576)))
    if steps {
      for kind in try session.profile() {
        print(
          row(
            "    \(kind.count) x \(kind.name)", rounded(kind.seconds * 1e3),
            "", "", "\(Int((kind.seconds * 1e5 / median).rounded())) %"))
      }
    }
  }

  /// A step with a peel on every linear of the layers, and what changing to another one takes.
  private func measureSwap(
    _ model: LoadedModel, _ networks: BoundModel, _ backend: any Backend, peak: Peak?
  ) throws {
    let peels = try (UInt64(1)...2).map {
      PeelUse(file: try SyntheticPeel.make(for: model, rank: 16, seed: $0), strength: 1)
    }
    guard let first = try PeelMix([peels[0]], for: model.peelSites) else { return }
    let denoiser = model.family.network(.denoiser).name
    for batch in [1, 2] {
      let stage = Stage(
        name: "denoising step\(batch == 2 ? ", guided" : ""), peel of rank 16",
        network: denoiser, extents: Stage.extents(of: model, batch: batch))
      try measure(stage, networks, backend, peak: peak, peels: first)
    }
    let compilations = networks.compilationCount
    let times = try (0..<runs).map { run in
      let start = ContinuousClock.now
      let mix = try PeelMix([peels[run % 2]], for: model.peelSites)
      _ = try networks.session(denoiser, Stage.extents(of: model, batch: 2), peels: mix)
      return milliseconds(ContinuousClock.now - start)
    }
    print(
      row("swapping peels", rounded(times.sorted()[runs / 2]))
        + "  (\(networks.compilationCount - compilations) plans compiled)")
  }

  /// A picture from prompt to file, part by part; medians.
  private func measureWhole(_ model: LoadedModel, _ backend: any Backend) throws {
    let size = model.facts.nativeSize
    let picture = WholePicture(
      Pipeline(model, backend: backend, activations: activations), size: size)
    _ = try picture.measure()
    let measured = try (0..<runs).map { _ in try picture.measure() }
    func median(_ times: [Double]) -> String { rounded(times.sorted()[runs / 2]) }
    print(
      row(
        "\na picture of \(size) px", median(measured.map { $0.reduce(0) { $0 + $1.milliseconds } }))
    )
    for part in measured[0].indices {
      print(row("    \(measured[0][part].part)", median(measured.map { $0[part].milliseconds })))
    }
  }

  private func row(_ cells: String...) -> String {
    let widths = [34, 9, 8, 8, 9, 9]
    return zip(cells, widths).enumerated().map { index, cell in
      let padding = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
      return index == 0 ? cell.0 + padding : padding + cell.0
    }.joined()
  }
}

/// Operations a second, a multiply-add counting two.
typealias Peak = (int8: Double, float32: Double)

/// One line of the table.
struct Stage {
  let name: String
  let network: NetworkName
  let extents: Extents

  /// The model's usual picture, with a short prompt.
  static func extents(of model: LoadedModel, batch: Int = 1) -> Extents {
    let facts = model.facts
    let request = PictureRequest(prompt: "a red apple", size: facts.nativeSize)
    return facts.extents(
      of: facts.offered(facts.nativeSize)!, batch: batch, tokens: model.textTokens(of: request))
  }

  static func all(of model: LoadedModel) -> [Stage] {
    model.family.networks.flatMap { network in
      let batches = network.role == .denoiser ? [1, 2] : [1]
      return batches.map { batch in
        Stage(
          name: "\(network.name)\(batch == 2 ? ", guided" : "")", network: network.name,
          extents: extents(of: model, batch: batch))
      }
    }
  }

  /// Inputs of plausible size; speed does not depend on what they are.
  func fill(_ session: Session) {
    for input in session.plan.graph.inputs where input.value.elementType == .float32 {
      let count = input.value.shape.count
      switch input.name {
      case "mask": session.write(repeatElement(1, count: count), to: input.name)
      case "bias": session.write(repeatElement(0, count: count), to: input.name)
      case "time": session.write(repeatElement(0.7, count: count), to: input.name)
      default: session.write((0..<count).map(Philox(seed: 1).normal(at:)), to: input.name)
      }
    }
  }
}

extension ActivationFormat: ExpressibleByArgument {}

func milliseconds(_ duration: Duration) -> Double { duration / .milliseconds(1) }

func rounded(_ x: Double) -> String {
  let scale = x < 10 ? 100.0 : (x < 100 ? 10 : 1)
  let value = (x * scale).rounded() / scale
  return value == value.rounded() && x >= 100 ? "\(Int(value))" : "\(value)"
}
