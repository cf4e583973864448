import CPUBackend
import Execution
import Foundation
import ModelImport
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// Prompts that name embeddings, drawn as diffusers' own loader does
/// (`training/banana_training/textual_inversion_goldens.py`).
@Suite struct EmbeddingPictureTests {
  private struct Drawn: Decodable {
    let prompt: String
    let negative: String
    let steps: Int
    let guidance: Float
    let seed: UInt64

    var request: PictureRequest {
      PictureRequest(
        prompt: prompt, negativePrompt: negative, size: PictureSize(width: 64, height: 64),
        steps: steps, guidance: guidance, sampler: .euler, spacing: .trailing, seed: seed)
    }
  }

  private static let goldens = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/goldens")
  private static let folder = goldens.appending(path: "embeddings")

  private func pipeline(in folder: TemporaryFolder) throws -> Pipeline {
    var options = ModelImporter.Options(
      source: Self.goldens.appending(path: "stable-diffusion/whole/checkpoint").path,
      destination: folder.path, vocabulary: "")
    options.quantization = .f16
    return Pipeline(
      try LoadedModel(path: try ModelImporter(options).run().path),
      backend: CPUBackend(threadCount: 2), activations: .float32)
  }

  private func words(for model: LoadedModel) throws -> [PeelUse] {
    try ["cat-toy", "easynegative", "sharp"].map { name in
      let path = Self.folder.appending(path: "\(name).safetensors").path
      let use = PeelUse(
        OpenPeel(try PeelFile(path: path)), name: name, strength: 1, heldBy: nil)
      try use.peel.check(for: model.peelSites)
      return use
    }
  }

  private func latents(
    _ pipeline: Pipeline, _ requests: [PictureRequest]
  ) throws -> [[Float]] {
    let denoising = try pipeline.begin(requests[0])
    let pictures = try requests.map {
      try denoising.begin(try pipeline.prepare($0), seed: $0.seed)
    }
    while !denoising.isDone { try denoising.advance() }
    return pictures.map(\.latents)
  }

  @Test func picturesAreThoseOfDiffusers() throws {
    let cases = try JSONDecoder().decode(
      [Drawn].self, from: Data(contentsOf: Self.folder.appending(path: "goldens.json")))
    let goldens = try SafetensorsFile(
      path: Self.folder.appending(path: "goldens.safetensors").path)
    let temporary = try TemporaryFolder()
    let pipeline = try pipeline(in: temporary)
    let words = try words(for: pipeline.model)
    for (index, drawn) in cases.enumerated() {
      let tensor = try #require(goldens.tensor(named: "\(index).latents"))
      let expected = Array(tensor.bytes.bindMemory(to: Float.self))
      var request = drawn.request
      #expect(error(try latents(pipeline, [request])[0], expected) > 0.02, "nothing changes")
      request.words = words
      let tokens = pipeline.model.textTokens(of: request)
      #expect(tokens == (index == 2 ? 154 : 77))
      #expect(error(try latents(pipeline, [request])[0], expected) < 1e-4, "\(drawn.prompt)")
    }
  }

  /// In one pass, beside one that names none.
  @Test func othersInThePassHaveTheirOwn() throws {
    let temporary = try TemporaryFolder()
    let pipeline = try pipeline(in: temporary)
    let words = try words(for: pipeline.model)
    let size = PictureSize(width: 64, height: 64)
    let requests = zip(["<toy>", "easynegative sharp", "the house"], 1...).map { prompt, seed in
      var request = PictureRequest(
        prompt: prompt, size: size, steps: 2, guidance: 3, seed: UInt64(seed))
      if seed < 3 { request.words = words }
      return request
    }
    let alone = try requests.map { try latents(pipeline, [$0])[0] }
    #expect(try latents(pipeline, requests) == alone)
    // Only who names one has a network with more rows.
    let vectors = pipeline.residency.networks.filter { $0.network == "textEncoder" }
      .map(\.extents.vectors)
    #expect(Set(vectors) == [0, Extents.mostVectors])
  }

  /// The root mean square of the difference, as a fraction of that of `b`.
  private func error(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
    let difference = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    return (difference / b.reduce(0.0) { $0 + Double($1 * $1) }).squareRoot()
  }
}
