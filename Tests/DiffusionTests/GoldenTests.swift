import CPUBackend
import Execution
import Foundation
import Imaging
import Models
import Reference
import TensorTypes
import Testing
import Text
import Weights

@testable import Diffusion

/// Every stage of the pipeline against PyTorch, on the naive reference and on the CPU's kernels,
/// with the weights of the tiny package and of the one that ships.
@Suite struct GoldenTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let package: String
    let on: TestBackend
    var testDescription: String { "\(package) on \(on)" }

    func goldens() throws -> Goldens { package == "tiny" ? try .tiny() : try .sticker() }
    func backend() -> any Backend { on.make() }
  }

  /// A whole picture takes the reference too long with the shipped networks.
  static let pictureCases = ["tiny", "sticker"].flatMap { package in
    TestBackend.available.map { Case(package: package, on: $0) }
  }.filter { $0.package == "tiny" || $0.on != .reference }
  static let cases = pictureCases + [Case(package: "sticker", on: .reference)]

  /// f32 rounding in sums of some hundred terms, over a dozen layers.
  static let tolerance: Float = 2e-3

  @Test(arguments: ["tiny", "sticker"]) func tokensAreExact(package: String) throws {
    let goldens = try Case(package: package, on: .cpu).goldens()
    for (index, text) in goldens.about.cases.enumerated() {
      let tokens = try #require(goldens.model.tokenized(text)["wordpiece"])
      #expect(
        tokens.chunks.map(\.ids) == [goldens.integers("text.cases.\(index).tokens")], "\(text)")
    }
  }

  @Test(arguments: cases) func textEncoder(_ test: Case) throws {
    let goldens = try test.goldens()
    let ids = goldens.integers("text.tokens")
    let session = try goldens.session("textEncoder", test.backend(), tokens: ids.count)
    try session.encode(ids)
    #expect(goldens.compare(session, prefix: "text.") >= 2)
    let pooled = try #require(goldens.floats("text.pooled"))
    #expect(normalizedError(session.read("pooled"), pooled) < Self.tolerance)
  }

  @Test(arguments: cases) func denoisingStep(_ test: Case) throws {
    let goldens = try test.goldens()
    let backend = test.backend()
    let ids = goldens.integers("text.tokens")
    let text = try goldens.session("textEncoder", backend, tokens: ids.count)
    try text.encode(ids)
    let context = try goldens.session("context", backend, tokens: ids.count)
    context.write(text.read("hidden"), to: "hidden")
    try context.run()

    let session = try goldens.session("denoiser", backend, tokens: ids.count)
    session.write(try #require(goldens.floats("denoiser.noise")), to: "latents")
    session.write([goldens.about.sigma], to: "time")
    session.copy("pooled", of: text, to: "pooled")
    session.write(repeatElement(0, count: ids.count), to: "bias")
    for name in goldens.model.outputs(of: "context") {
      session.copy(name, of: context, to: name)
    }
    try session.run()
    #expect(goldens.compare(session, prefix: "denoiser.") >= 3)
    let clean = try #require(goldens.floats("denoiser.clean"))
    #expect(normalizedError(session.read("prediction"), clean) < Self.tolerance)
  }

  @Test(arguments: cases) func decoder(_ test: Case) throws {
    let goldens = try test.goldens()
    let session = try goldens.session("decoder", test.backend())
    session.write(try #require(goldens.floats("sample.z")), to: "latents")
    try session.run()
    #expect(goldens.compare(session, prefix: "decoder.") >= 2)
    let picture = try #require(goldens.floats("decoder.picture"))
    let side = goldens.model.facts.nativeSize.width
    let step = side / Int((Double(picture.count) / 4).squareRoot())
    let pixels = session.read("pixels")
    var sampled: [Float] = []
    for y in stride(from: 0, to: side, by: step) {
      for x in stride(from: 0, to: side, by: step) {
        let start = (y * side + x) * 4
        sampled += pixels[start..<start + 4]
      }
    }
    #expect(normalizedError(sampled, picture) < Self.tolerance)
  }

  @Test(arguments: cases) func encoder(_ test: Case) throws {
    let goldens = try test.goldens()
    let session = try goldens.session("encoder", test.backend())
    let side = goldens.model.facts.nativeSize.width
    let pixels = (0..<side * side * 4).map { index in
      let (y, x, c) = (index / 4 / side, index / 4 % side, index % 4)
      return Float((7 * y + 13 * x + 31 * c) % 64) / 63
    }
    session.write(pixels, to: "pixels")
    try session.run()
    _ = goldens.compare(session, prefix: "encoder.")
    let latents = try #require(goldens.floats("encoder.latents"))
    #expect(normalizedError(session.read("latents"), latents) < Self.tolerance)
  }

  @Test(arguments: pictureCases) func wholePictureInFloat32(_ test: Case) throws {
    let goldens = try test.goldens()
    let picture = try goldens.picture(backend: test.backend(), activations: .float32)
    #expect(psnr(picture.values, goldens.expectedPicture) > 50)
  }

  /// What int8 activations cost on the shipped weights: 35.9 dB where this was written.
  @Test(arguments: TestBackend.available.filter { $0 != .reference })
  func wholePictureQuantized(on backend: TestBackend) throws {
    let goldens = try Goldens.sticker()
    let picture = try goldens.picture(backend: backend.make(), activations: .int8)
    #expect(psnr(picture.values, goldens.expectedPicture) > 33)
  }

  @Test(.enabled(if: TestBackend.available.contains(.vulkan)))
  func tenRunsOnVulkanAreBitEqual() throws {
    let goldens = try Goldens.tiny()
    let first = try goldens.picture(backend: TestBackend.vulkan.make(), activations: .int8)
    for _ in 1..<10 {
      let again = try goldens.picture(backend: TestBackend.vulkan.make(), activations: .int8)
      #expect(again == first)
    }
  }

  @Test func tenRunsAndAnyThreadCountAreBitEqual() throws {
    let goldens = try Goldens.tiny()
    let first = try goldens.picture(backend: CPUBackend(threadCount: 1), activations: .int8)
    for run in 1..<10 {
      let again = try goldens.picture(
        backend: CPUBackend(threadCount: 1 + run % 3), activations: .int8)
      #expect(again == first)
    }
  }
}

extension Session {
  /// Runs a text encoder on tokens without padding.
  fileprivate func encode(_ ids: [Int32]) throws {
    write(indices: ids, to: "ids")
    write(repeatElement(1, count: ids.count), to: "mask")
    write(repeatElement(0, count: ids.count), to: "bias")
    try run()
  }
}
