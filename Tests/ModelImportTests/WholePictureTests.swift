import CPUBackend
import Execution
import Foundation
import Imaging
import ModelImport
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// From a prompt to a picture with a checkpoint that diffusers wrote, as diffusers draws it
/// (`training/banana_training/stable_diffusion_goldens.py`).
@Suite struct WholePictureTests {
  private struct Drawn: Decodable {
    let prompt: String
    let negative: String
    let sampler: String
    let spacing: String
    let steps: Int
    let guidance: Float
    let seed: UInt64
    let clipSkip: Int?

    var request: PictureRequest {
      let samplers: [String: Sampler] = ["lcm": .consistency, "dpmpp_2m": .dpmSolver]
      return PictureRequest(
        prompt: prompt, negativePrompt: negative, clipSkip: clipSkip,
        size: PictureSize(width: 64, height: 64), steps: steps, guidance: guidance,
        sampler: samplers[sampler] ?? Sampler(rawValue: sampler),
        spacing: TimestepSpacing(rawValue: spacing), seed: seed)
    }
  }

  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/goldens/stable-diffusion")

  /// A pipeline of the checkpoint, imported as it is, with another UNet if one is named.
  private func withPipeline(
    unet: String? = nil, _ body: (Pipeline) throws -> Void
  ) throws {
    let temporary = try TemporaryFolder()
    var options = ModelImporter.Options(
      source: Self.folder.appending(path: "whole/checkpoint").path, destination: temporary.path,
      vocabulary: "")
    options.quantization = .f16
    let imported = try ModelImporter(options).run()
    if let unet { try replaceUNet(of: imported.path, by: unet) }
    try body(
      Pipeline(
        try LoadedModel(path: imported.path), backend: CPUBackend(threadCount: 2),
        activations: .float32))
  }

  /// Takes the weights of another golden, which have the package's form already.
  private func replaceUNet(of package: String, by name: String) throws {
    let golden = Self.folder.appending(path: name)
    let target = URL(filePath: package)
    let weights = try Data(contentsOf: golden.appending(path: "weights.safetensors"))
    try weights.write(to: target.appending(path: "unet.safetensors"))
    let manifest = target.appending(path: "model.json")
    func object(_ url: URL) throws -> [String: Any] {
      try #require(
        try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
    }
    var model = try object(manifest)
    var configuration = try #require(model["configuration"] as? [String: Any])
    var fields = try object(golden.appending(path: "config.json"))
    fields["sample_size"] = 16
    configuration["unet"] = fields
    var files = try #require(model["files"] as? [String: Any])
    let sum = weights.withUnsafeBytes { ModelPackage.checksum(of: $0) }
    files["unet.safetensors"] = ["sha256": sum, "bytes": weights.count]
    (model["configuration"], model["files"]) = (configuration, files)
    try JSONSerialization.data(withJSONObject: model).write(to: manifest)
  }

  @Test func picturesAreThoseOfDiffusers() throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let whole = Self.folder.appending(path: "whole")
    let cases = try decoder.decode(
      [Drawn].self, from: Data(contentsOf: whole.appending(path: "goldens.json")))
    let goldens = try SafetensorsFile(path: whole.appending(path: "goldens.safetensors").path)
    func floats(_ name: String) throws -> [Float] {
      Array(try #require(goldens.tensor(named: name)).bytes.bindMemory(to: Float.self))
    }
    try withPipeline { pipeline in
      for (index, drawn) in cases.enumerated() {
        let conditioning = try pipeline.prepare(drawn.request)
        let latents = try pipeline.latents(drawn.request, conditioning)
        // 96 dB and more were measured.
        #expect(decibels(latents, try floats("\(index).latents")) > 80, "\(drawn.prompt)")
        let pixels = try pipeline.decode(latents, of: conditioning).values()
        let wanted = try floats("\(index).pixels").map { min(max($0 / 2 + 0.5, 0), 1) }
        #expect(decibels(pixels, wanted) > 80, "the picture of \(drawn.prompt)")
      }
    }
  }

  /// A denoiser that reads what is kept, with guidance embedded in it.
  @Test func whatIsKeptIsRead() throws {
    try withPipeline(unet: "unet-pruned") { pipeline in
      let size = PictureSize(width: 64, height: 64)
      var request = PictureRequest(
        prompt: "a house", size: size, steps: 2, guidance: 7.5, sampler: .consistency, seed: 3)
      let anew = try pipeline.prepare(request)
      #expect(anew.unconditional == nil)
      let places = try #require(anew.readSource)
      #expect(places.count == 16 * 16 * 5)
      #expect(stride(from: 0, to: places.count, by: 5).allSatisfy { places[$0] == 1 })

      func picture(_ colour: SIMD4<Float>, right: SIMD4<Float>) -> PremultipliedImage {
        PremultipliedImage(
          width: 64, height: 64,
          rgba: (0..<64 * 64).map { $0 % 64 < 32 ? colour : right })
      }
      let mask = picture([1, 1, 1, 1], right: [0, 0, 0, 0])
      let blue: SIMD4<Float> = [0, 0, 1, 1]
      request.images = [
        ImageInput(picture(blue, right: [1, 0, 0, 1]), role: .source),
        ImageInput(mask, role: .mask),
      ]
      let conditioning = try pipeline.prepare(request)
      let read = try #require(conditioning.readSource)
      for place in 0..<16 * 16 { #expect(read[place * 5] == (place % 16 < 8 ? 0 : 1)) }
      let drawn = try pipeline.decode(
        try pipeline.latents(request, conditioning), of: conditioning)
      let pixels = try drawn.values()
      let channels = drawn.colorChannels == .rgb ? 3 : 4
      for pixel in 0..<64 * 64 where pixel % 64 < 32 {
        #expect(Array(pixels[pixel * channels..<pixel * channels + 3]) == [0, 0, 1])
      }

      // What is under the hole is nothing to it; what is kept is.
      request.images[0] = ImageInput(picture(blue, right: [0, 1, 0, 1]), role: .source)
      #expect(try pipeline.prepare(request).readSource == read)
      request.images[0] = ImageInput(picture([1, 1, 0, 1], right: [0, 1, 0, 1]), role: .source)
      #expect(try pipeline.prepare(request).readSource != read)

      request.images = []
      let plain = try pipeline.latents(request, anew)
      request.guidance = 1
      #expect(try pipeline.latents(request, try pipeline.prepare(request)) != plain)
    }
  }

  /// Previews need no decoder: a latent is a colour, and from one to the next there is a slope.
  @Test func previewsAreColoursOfLatents() throws {
    try withPipeline { pipeline in
      var request = PictureRequest(prompt: "a house", size: PictureSize(width: 64, height: 64))
      request.steps = 1
      let conditioning = try pipeline.prepare(request)
      let (left, right): ([Float], [Float]) = ([0.3, -0.2, 0.5, 0.1], [-0.4, 0.6, 0.2, -0.9])
      let latents = (0..<16 * 16).flatMap { $0 % 16 < 8 ? left : right }
      let picture = try pipeline.preview(latents, of: conditioning)
      #expect((picture.width, picture.height) == (64, 64))
      let values = try picture.values()
      let channels = values.count / (64 * 64)
      // A latent has four columns; between the centres of the eighth and the ninth is the slope.
      for (column, share) in [
        (0, 0), (20, 0), (29, 0), (30, 0.125), (31, 0.375), (32, 0.625), (33, 0.875), (34, 1),
        (63, 1),
      ] as [(Int, Float)] {
        for (channel, pair) in zip(Self.colour(left), Self.colour(right)).enumerated() {
          let expected = pair.0 + share * (pair.1 - pair.0)
          for row in [0, 31, 63] {
            let value = values[(row * 64 + column) * channels + channel]
            #expect(abs(value - expected) < 1e-5, "column \(column), channel \(channel)")
          }
        }
      }
      // Colours beyond white and black are those, and what is no number is black.
      for (latent, shown) in [(9, [1, 1, 1]), (-9, [0, 0, 0]), (.nan, [0, 0, 0])]
        as [(Float, [Float])]
      {
        let all = (0..<16 * 16 * 4).map { $0 % 4 == 0 ? latent : 0 }
        let values = try pipeline.preview(all, of: conditioning).values()
        for pixel in [0, 64 * 64 - 1] {
          #expect(Array(values[pixel * channels..<pixel * channels + 3]) == shown, "\(latent)")
        }
      }
    }
  }

  /// Red, green and blue of a latent of Stable Diffusion 1, -1...1 taken to 0...1, by the factors
  /// that its previews are made with everywhere.
  private static func colour(_ latent: [Float]) -> [Float] {
    let factors: [[Float]] = [
      [0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264],
      [-0.184, -0.271, -0.473],
    ]
    return (0..<3).map { channel in
      let sum = zip(latent, factors).reduce(Float(0)) { $0 + $1.0 * $1.1[channel] }
      return min(max(sum / 2 + 0.5, 0), 1)
    }
  }
}

extension Pipeline {
  fileprivate func latents(
    _ request: PictureRequest, _ conditioning: Conditioning
  ) throws -> [Float] {
    let denoising = try begin(request)
    let picture = try denoising.begin(conditioning, seed: request.seed)
    while !denoising.isDone { try denoising.advance() }
    return picture.latents
  }
}

extension RowSource {
  fileprivate func values() throws -> [Float] {
    var values: [Float] = []
    while true {
      let rows = try next(atMost: 7)
      if rows.isEmpty { return values }
      values += rows
    }
  }
}

/// Signal over noise.
private func decibels(_ found: [Float], _ expected: [Float]) -> Double {
  precondition(found.count == expected.count, "\(found.count) and \(expected.count) numbers")
  let noise = zip(found, expected).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
  let signal = expected.reduce(0.0) { $0 + Double($1 * $1) }
  return 10 * log10(signal / max(noise, 1e-30))
}
