import Execution
import Foundation
import Graph
import TensorTypes
import Testing
import Weights

@testable import Models

/// The networks of Stable Diffusion against diffusers, block by block, in f32, with random weights
/// of the sizes that trained ones have (`training/banana_training/diffusers_goldens.py`).
@Suite struct StableDiffusionNetworkTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let on: TestBackend
    var testDescription: String { "\(name) on \(on)" }

    var backend: any Backend { on.make() }
  }

  static let unets = ["unet-odd", "unet-pruned", "unet-deep"].flatMap { name in
    TestBackend.available.map { Case(name: name, on: $0) }
  }

  @Test(arguments: unets) func unet(_ test: Case) throws {
    let goldens = try DiffusersGoldens(test.name)
    let unet = UNet(configuration: try UNetConfiguration(goldens.configuration))
    let context = try goldens.session(unet.context(batch: 2, tokens: 7), test.backend)
    context.write(try goldens.floats("hidden"), to: "hidden")
    try context.run()

    let network = unet.graph(batch: 2, tokens: 7, height: 8, width: 16)
    let session = try goldens.session(network, test.backend)
    let given = Set(context.plan.graph.outputs.map(\.name))
    for input in network.inputs {
      if given.contains(input.name) {
        session.write(context.read(input.name), to: input.name)
      } else {
        session.write(try goldens.floats(input.name), to: input.name)
      }
    }
    try session.run()
    try goldens.expectEqual(session, ["prediction"], prefix: "", test)
    let used = Set((network.weights + context.plan.graph.weights).map(\.name))
    #expect(goldens.weights.unusedNames(after: used) == [])
  }

  @Test(arguments: TestBackend.available) func autoencoder(on backend: TestBackend) throws {
    let test = Case(name: "autoencoder", on: backend)
    let goldens = try DiffusersGoldens(test.name)
    let autoencoder = Autoencoder(
      configuration: try AutoencoderConfiguration(goldens.configuration))
    let encoder = autoencoder.encoder(batch: 2, latentHeight: 4, latentWidth: 6)
    let decoder = autoencoder.decoder(batch: 2, latentHeight: 4, latentWidth: 6)
    for (graph, input, output) in [
      (encoder, "pixels", "latents"), (decoder, "latents", "pixels"),
    ] {
      let session = try goldens.session(graph, test.backend)
      session.write(try goldens.floats("\(graph.name).\(input)"), to: input)
      try session.run()
      try goldens.expectEqual(session, [output], prefix: "\(graph.name).", test)
    }
    let used = Set((encoder.weights + decoder.weights).map(\.name))
    #expect(goldens.weights.unusedNames(after: used) == [])
  }
}

/// What diffusers computed for one configuration.
private struct DiffusersGoldens {
  let configuration: DiffusersConfiguration
  let weights: WeightStore
  private let file: SafetensorsFile

  init(_ name: String) throws {
    let folder = Goldens.root.appending(path: "Tests/Fixtures/goldens/stable-diffusion/\(name)")
    configuration = try JSONDecoder().decode(
      DiffusersConfiguration.self, from: Data(contentsOf: folder.appending(path: "config.json")))
    weights = try WeightStore(files: [
      SafetensorsFile(path: folder.appending(path: "weights.safetensors").path)
    ])
    file = try SafetensorsFile(path: folder.appending(path: "goldens.safetensors").path)
  }

  func floats(_ name: String) throws -> [Float] {
    Array(try #require(file.tensor(named: name), "\(name)").bytes.bindMemory(to: Float.self))
  }

  /// With its taps as outputs.
  func session(_ graph: Graph, _ backend: any Backend) throws -> Session {
    let plan = backend.plan(
      graph.exposingTaps().fusingEpilogues(), for: weights, activations: .float32)
    let bound = backend.bind(weights, activations: .float32)
    return try Session(bound.compile(plan, in: backend.makeArena()))
  }

  /// Every tap whose name begins with `prefix`, and the outputs, within `tolerance`.
  func expectEqual(
    _ session: Session, _ outputs: [String], prefix: String,
    _ test: StableDiffusionNetworkTests.Case
  ) throws {
    let taps = file.names.filter { $0.hasPrefix("taps.\(prefix)") }
    #expect(taps.count >= 4)
    let pairs =
      taps.map { ($0, String($0.dropFirst("taps.".count))) } + outputs.map { (prefix + $0, $0) }
    for (golden, name) in pairs {
      let error = relativeError(session.read(name), try floats(golden))
      #expect(error < Self.tolerance, "\(test), \(name)")
    }
  }

  /// 80 dB; 95 dB were measured on both backends where most is summed up.
  private static let tolerance = 1e-4
}

/// The root mean square of the difference, as a fraction of that of `b`.
private func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
  let difference = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
  let square = b.reduce(0.0) { $0 + Double($1 * $1) }
  return (difference / square).squareRoot()
}
