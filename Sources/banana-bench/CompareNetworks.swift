import ArgumentParser
import CPUBackend
import Diffusion
import Execution
import Foundation
import Graph
import Models
import TensorTypes
import Weights

/// Runs a model's networks on what another program gave them, and says how far what each layer
/// gives is from what it gave there.
struct CompareNetworks: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare a model's networks, layer by layer, with what another program computed.",
    discussion: """
      The file has tensors NETWORK/inputs/NAME, NETWORK/layers/NAME and NETWORK/outputs/NAME, and \
      NETWORK/extents with five numbers: pictures, tokens, the latents' height and width, and the \
      layers that the text network skips. What is not there is not compared. \
      training/banana_training/parity.py writes it.
      """)

  @Argument(help: "The model's package.")
  var package: String

  @Argument(help: "The .safetensors file of the other program.")
  var file: String

  @Option(help: "The least signal over noise of an output, in dB; less is an error.")
  var least: Double = 0

  /// Activations and threads are its options.
  @ParentCommand var bench: BananaBench

  private var activations: ActivationFormat { bench.activations }

  func run() throws {
    let model = try LoadedModel(path: package)
    let goldens = try SafetensorsFile(path: file)
    let backend = CPUBackend(
      threadCount: bench.threads ?? ProcessInfo.processInfo.activeProcessorCount)
    var worst = Double.infinity
    for network in model.family.networks {
      guard let extents = goldens.tensor(named: "\(network.name)/extents") else { continue }
      let numbers = extents.bytes.bindMemory(to: Int32.self).map { Int($0) }
      guard extents.type == .int32, numbers.count == 5 else {
        throw ValidationError("\(network.name)/extents is not five numbers of 32 bits.")
      }
      let graph = model.family.graph(
        of: network.name,
        Extents(
          batch: numbers[0], tokens: numbers[1], height: numbers[2], width: numbers[3],
          skippedLayers: numbers[4]))
      let compared = try compare(
        graph, network, model.stores[network.weights]!, goldens, backend)
      worst = min(worst, compared)
    }
    if worst < least {
      throw ValidationError("\(rounded(worst)) dB is less than the \(least) dB that are asked for.")
    }
  }

  /// - Returns: The least signal over noise of its outputs.
  private func compare(
    _ graph: Graph, _ network: NetworkDescription, _ store: WeightStore,
    _ goldens: SafetensorsFile, _ backend: CPUBackend
  ) throws -> Double {
    let plan = backend.plan(
      graph.exposingTaps().fusingEpilogues(), for: store, activations: activations)
    let session = try Session(
      backend.bind(store, activations: activations).compile(plan, in: backend.makeArena()))
    func tensor(_ kind: String, _ name: String) -> SafetensorsFile.Tensor? {
      goldens.tensor(named: "\(network.name)/\(kind)/\(name)")
    }
    for input in plan.graph.inputs {
      guard let given = tensor("inputs", input.name) else {
        throw ValidationError("\(file) has no \(network.name)/inputs/\(input.name).")
      }
      if input.value.elementType == .int32 {
        session.write(indices: Array(given.bytes.bindMemory(to: Int32.self)), to: input.name)
      } else {
        session.write(Array(given.bytes.bindMemory(to: Float.self)), to: input.name)
      }
    }
    try session.run()
    let outputs = Set(graph.outputs.map(\.name))
    var worst = Double.infinity
    print("\(network.name), activations \(activations.rawValue): signal over noise in dB")
    for output in plan.graph.outputs {
      let isOutput = outputs.contains(output.name)
      guard let wanted = tensor(isOutput ? "outputs" : "layers", output.name) else { continue }
      let ratio = decibels(
        session.read(output.name), Array(wanted.bytes.bindMemory(to: Float.self)))
      print("  \(output.name): \(rounded(ratio))")
      if isOutput { worst = min(worst, ratio) }
    }
    return worst
  }

  private func decibels(_ found: [Float], _ wanted: [Float]) -> Double {
    guard found.count == wanted.count else { return -.infinity }
    var (noise, signal) = (1e-30, 1e-30)
    for (a, b) in zip(found, wanted) {
      noise += Double((a - b) * (a - b))
      signal += Double(b * b)
    }
    return 10 * log10(signal / noise)
  }
}
