import Execution
import Foundation
import Graph
import TensorTypes
import Testing
import Weights

@testable import Models

/// CLIP's text encoder against transformers' `CLIPTextModel`, with random weights.
@Suite struct CLIPTextEncoderTests {
  private static func file(_ name: String) throws -> SafetensorsFile {
    let folder = Goldens.root.appending(path: "Tests/Fixtures/goldens/clip_text_encoder")
    return try SafetensorsFile(path: folder.appending(path: "\(name).safetensors").path)
  }

  private static func encoder(_ activation: String) throws -> CLIPTextEncoder {
    CLIPTextEncoder(
      configuration: try CLIPTextConfiguration(
        DiffusersConfiguration([
          "vocab_size": .number(50), "hidden_size": .number(32), "num_hidden_layers": .number(3),
          "num_attention_heads": .number(2), "intermediate_size": .number(40),
          "max_position_embeddings": .number(12), "hidden_act": .text(activation),
        ])))
  }

  @Test(arguments: ["gelu", "quick_gelu"], [0, 1])
  func textsMeanWhatTheyDoInTransformers(activation: String, skipped: Int) throws {
    let goldens = try Self.file("goldens")
    let ids = try #require(goldens.tensor(named: "ids"))
    let hidden = try #require(
      goldens.tensor(named: "\(activation).hidden.\(skipped)"))
    let expected = Array(hidden.bytes.bindMemory(to: Float.self))
    let graph = try Self.encoder(activation).graph(batch: 2, tokens: 11, skipped: skipped)
    let store = try WeightStore(files: [Self.file("weights")])
    for backend in TestBackend.available.map({ $0.make() }) {
      let plan = backend.plan(graph.fusingEpilogues(), for: store, activations: .float32)
      let session = try Session(
        backend.bind(store, activations: .float32).compile(plan, in: backend.makeArena()))
      session.write(indices: Array(ids.bytes.bindMemory(to: Int32.self)), to: "ids")
      try session.run()
      #expect(normalizedError(session.read("hidden"), expected) < 1e-4, "\(backend.name)")
    }
  }
}
