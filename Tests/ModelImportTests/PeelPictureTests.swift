import CPUBackend
import Execution
import Foundation
import ModelImport
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// A LoRA of a UNet and a text encoder as diffusers saves it, drawn with as diffusers does
/// (`training/banana_training/peel_goldens.py`).
@Suite struct PeelPictureTests {
  private static let goldens = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/goldens")

  private func pipeline(in folder: TemporaryFolder) throws -> Pipeline {
    var options = ModelImporter.Options(
      source: Self.goldens.appending(path: "stable-diffusion/whole/checkpoint").path,
      destination: folder.path, vocabulary: "")
    options.quantization = .f16
    return Pipeline(
      try LoadedModel(path: try ModelImporter(options).run().path),
      backend: CPUBackend(threadCount: 2), activations: .float32)
  }

  private func latents(_ pipeline: Pipeline, _ request: PictureRequest) throws -> [Float] {
    let conditioning = try pipeline.prepare(request)
    let denoising = try pipeline.begin(request)
    let picture = try denoising.begin(conditioning, seed: request.seed)
    while !denoising.isDone { try denoising.advance() }
    return picture.latents
  }

  @Test func picturesAreThoseOfDiffusers() throws {
    let folder = try TemporaryFolder()
    let pipeline = try pipeline(in: folder)
    let goldens = try SafetensorsFile(
      path: Self.goldens.appending(path: "peels/goldens.safetensors").path)
    let file = try PeelFile(
      path: Self.goldens.appending(path: "peels/whole.safetensors").path)
    #expect(Set(file.updates.map(\.network)) == [.denoiser, .textEncoder(1)])
    let peel = OpenPeel(file)
    let size = PictureSize(width: 64, height: 64)
    let requests = [
      "whole.0": PictureRequest(
        prompt: "a house in the rain", negativePrompt: "fog", size: size, steps: 3, guidance: 4,
        sampler: .euler, spacing: .trailing, seed: 7),
      "whole.4": PictureRequest(
        prompt: "a house", clipSkip: 2, size: size, steps: 2, guidance: 4, sampler: .euler,
        spacing: .trailing, seed: 11),
    ]
    for (name, plain) in requests {
      let expected = Array(
        try #require(goldens.tensor(named: name)).bytes.bindMemory(to: Float.self))
      var request = plain
      request.peels = [PeelUse(peel, name: "whole", strength: 1, heldBy: nil)]
      #expect(error(try latents(pipeline, request), expected) < 1e-4, "\(name)")
      #expect(error(try latents(pipeline, plain), expected) > 0.02, "\(name): nothing changes")
    }
    #expect(peel.omissions == [])
  }

  /// The root mean square of the difference, as a fraction of that of `b`.
  private func error(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
    let difference = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    return (difference / b.reduce(0.0) { $0 + Double($1 * $1) }).squareRoot()
  }
}
