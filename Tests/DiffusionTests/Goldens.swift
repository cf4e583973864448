import Execution
import Foundation
import Graph
import Imaging
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// What PyTorch computed with a package's weights, and the package.
struct Goldens {
  /// How the goldens were made.
  struct About: Decodable {
    let prompt: String
    let style: String
    let seed: UInt64
    let steps: Int
    let guidance: Float
    let sigma: Float
    let cases: [String]
  }

  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  let about: About
  let file: SafetensorsFile
  let model: LoadedModel

  init(_ name: String, package: String) throws {
    let folder = Self.root.appending(path: "Tests/Fixtures/goldens/\(name)")
    about = try JSONDecoder().decode(
      About.self, from: Data(contentsOf: folder.appending(path: "goldens.json")))
    file = try SafetensorsFile(path: folder.appending(path: "goldens.safetensors").path)
    model = try LoadedModel(path: Self.root.appending(path: package).path)
  }

  static func tiny() throws -> Goldens {
    try Goldens("tiny", package: "Tests/Fixtures/goldens/tiny")
  }

  static func sticker() throws -> Goldens {
    try Goldens("sticker", package: "models/sticker")
  }

  func floats(_ name: String) -> [Float]? {
    file.tensor(named: name).map { Array($0.bytes.bindMemory(to: Float.self)) }
  }

  func integers(_ name: String) -> [Int32] {
    file.tensor(named: name).map { Array($0.bytes.bindMemory(to: Int32.self)) } ?? []
  }

  func bytes(_ name: String) -> [UInt8] {
    file.tensor(named: name).map { Array($0.bytes) } ?? []
  }

  var tapNames: [String] { file.names }

  /// A session of one network with its taps as outputs, on a backend of one's own.
  func session(
    _ network: NetworkName, _ backend: any Backend, tokens: Int = 0,
    activations: ActivationFormat = .float32
  ) throws -> Session {
    let graph = model.family.graph(of: network, Extents(batch: 1, tokens: tokens))
    let store = model.stores[model.family.networks.first { $0.name == network }!.weights]!
    let plan = backend.plan(
      graph.exposingTaps().fusingEpilogues(), for: store, activations: activations)
    let weights = backend.bind(store, activations: activations)
    return try Session(weights.compile(plan, in: backend.makeArena()))
  }
}

/// The largest difference between two arrays, as a fraction of the larger one's root mean square.
func normalizedError(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float {
  precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
  let difference = zip(a, b).map { abs($0 - $1) }.max() ?? 0
  let meanSquare = b.reduce(0) { $0 + $1 * $1 } / Float(max(b.count, 1))
  return difference / max(meanSquare.squareRoot(), 1e-12)
}

/// Peak signal-to-noise ratio of values in `0...1`, in dB.
func psnr(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Double {
  precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
  let sum = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
  return -10 * log10(max(sum / Double(a.count), 1e-15))
}

extension Pipeline {
  /// The pictures of a request, in one pass.
  func draw(_ request: PictureRequest) throws -> [PremultipliedImage] {
    let conditioning = try prepare(request)
    let denoising = try begin(request)
    let pictures = try (0..<request.count).map {
      try denoising.begin(conditioning, seed: request.seed &+ UInt64($0))
    }
    while !denoising.isDone { try denoising.advance() }
    return try pictures.map { try decode($0.latents, of: conditioning).whole() }
  }
}

extension RowSource {
  /// All rows, one behind the other.
  func values() throws -> [Float] {
    var values: [Float] = []
    while true {
      let rows = try next(atMost: 7)
      if rows.isEmpty { return values }
      values += rows
    }
  }

  /// The whole picture, of RGBA.
  func whole() throws -> PremultipliedImage {
    let values = try values()
    let rgba = stride(from: 0, to: values.count, by: 4).map {
      SIMD4(values[$0], values[$0 + 1], values[$0 + 2], values[$0 + 3])
    }
    return PremultipliedImage(width: width, height: height, rgba: rgba)
  }
}

extension Goldens {
  /// Compares every tap that both sides have.
  /// - Returns: How many there were.
  func compare(_ session: Session, prefix: String) -> Int {
    var compared = 0
    for output in session.plan.graph.outputs where output.name.hasPrefix(prefix) {
      guard let expected = floats(output.name) else { continue }
      let error = normalizedError(session.read(output.name), expected)
      #expect(error < GoldenTests.tolerance, "\(output.name)")
      compared += 1
    }
    return compared
  }

  /// The picture of the goldens' request, at the smaller size for the shipped model.
  func picture(
    backend: any Backend, activations: ActivationFormat
  ) throws -> PremultipliedImage {
    let pipeline = Pipeline(model, backend: backend, activations: activations)
    let size = floats("sample.picture") == nil ? .square(256) : model.facts.nativeSize
    return try pipeline.draw(
      PictureRequest(
        prompt: about.prompt, style: about.style, size: size, steps: about.steps,
        guidance: about.guidance, seed: about.seed))[0]
  }

  /// `[y, x, 4]` premultiplied, in `0...1`.
  var expectedPicture: [Float] {
    guard let picture = floats("sample.picture") else {
      return bytes("sample.picture256").map { Float($0) / 255 }
    }
    // PyTorch's decoder does not know that no colour exceeds alpha.
    return [Float](unsafeUninitializedCapacity: picture.count) { target, count in
      picture.withUnsafeBytes { source in
        PixelRows.clamp(
          source.assumingMemoryBound(to: SIMD4<Float>.self).baseAddress!,
          count: picture.count / 4,
          into: UnsafeMutableRawPointer(target.baseAddress!).assumingMemoryBound(
            to: SIMD4<Float>.self))
      }
      count = picture.count
    }
  }
}

extension PictureSize {
  static func square(_ side: Int) -> PictureSize { PictureSize(width: side, height: side) }
}
