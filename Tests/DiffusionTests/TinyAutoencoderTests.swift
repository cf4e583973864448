import Execution
import Foundation
import Graph
import Models
import TensorTypes
import Testing
import Weights

/// The tiny autoencoder against diffusers' `AutoencoderTiny`, with random weights.
@Suite struct TinyAutoencoderTests {
  private static func file(_ name: String) throws -> SafetensorsFile {
    let folder = Goldens.root.appending(path: "Tests/Fixtures/goldens/tiny_autoencoder")
    return try SafetensorsFile(path: folder.appending(path: "\(name).safetensors").path)
  }

  /// What a network makes of its golden input, and the golden.
  private func run(
    _ graph: Graph, on backend: any Backend
  ) throws -> (found: [Float], expected: [Float]) {
    let goldens = try Self.file("goldens")
    func floats(_ name: String) throws -> [Float] {
      let tensor = try #require(goldens.tensor(named: "\(graph.name).\(name)"))
      return Array(tensor.bytes.bindMemory(to: Float.self))
    }
    let store = try WeightStore(files: [Self.file("weights")])
    let plan = backend.plan(graph.fusingEpilogues(), for: store, activations: .float32)
    let session = try Session(
      backend.bind(store, activations: .float32).compile(plan, in: backend.makeArena()))
    try session.write(floats(graph.inputs[0].name), to: graph.inputs[0].name)
    try session.run()
    let output = graph.outputs[0].name
    return (session.read(output), try floats(output))
  }

  @Test func bothHalvesDrawWhatDiffusersDraws() throws {
    let model = try TinyAutoencoder(
      .init(width: 8, encoderBlocks: [1, 1, 2], decoderBlocks: [2, 0, 1]))
    #expect(model.scale == 4)
    for graph in [
      model.decoder(batch: 2, latentHeight: 3, latentWidth: 5),
      model.encoder(batch: 2, latentHeight: 3, latentWidth: 5),
    ] {
      for backend in TestBackend.available.map({ $0.make() }) {
        let (found, expected) = try run(graph, on: backend)
        #expect(normalizedError(found, expected) < 1e-4, "\(graph.name), \(backend.name)")
        // Of numbers in 0...1.
        let (low, high) = (expected.min() ?? 0, expected.max() ?? 0)
        let decibels = psnr(
          found.map { ($0 - low) / (high - low) }, expected.map { ($0 - low) / (high - low) })
        #expect(decibels > 80, "\(graph.name), \(backend.name)")
      }
    }
  }

  /// The extents of TAESD, whose files hold 1,222,532 numbers for the encoder and one less than
  /// that for the decoder.
  @Test func taesdHasItsExtents() throws {
    let model = try TinyAutoencoder(.init())
    let decoder = model.decoder(batch: 1, latentHeight: 64, latentWidth: 48)
    let encoder = model.encoder(batch: 1, latentHeight: 64, latentWidth: 48)
    #expect(decoder.outputs[0].value.shape == [1, 512, 384, 3])
    #expect(encoder.inputs[0].value.shape == [1, 512, 384, 3])
    #expect(encoder.outputs[0].value.shape == [1, 64, 48, 4])
    func numbers(_ graph: Graph) -> Int { Set(graph.weights).reduce(0) { $0 + $1.shape.count } }
    #expect(numbers(encoder) == 1_222_532)
    #expect(numbers(decoder) == 1_222_531)
  }

  @Test func configurationsOfNoNetworkAreRefused() {
    let wrong: [TinyAutoencoder.Configuration] = [
      .init(latentChannels: 0), .init(width: -1), .init(width: .max), .init(encoderBlocks: []),
      .init(encoderBlocks: [1, 1], decoderBlocks: [1]), .init(encoderBlocks: [-1, 1, 1, 1]),
      .init(decoderBlocks: [1, 1, 1, .max]),
      .init(
        encoderBlocks: .init(repeating: 1, count: 70),
        decoderBlocks: .init(repeating: 1, count: 70)),
    ]
    for configuration in wrong {
      #expect(throws: ConfigurationError.self, "\(configuration)") {
        try TinyAutoencoder(configuration)
      }
    }
  }
}
