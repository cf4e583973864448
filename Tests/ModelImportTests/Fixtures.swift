import Foundation
import Models
import TensorTypes
import Weights

@testable import ModelImport

/// Checkpoints that training/banana_training/checkpoint_fixtures.py has written.
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/checkpoints").path
  static let tiny = folder + "/tiny"
  static let merges = tiny + "/tokenizer/merges.txt"

  /// How a single file calls what diffusers has under `made`.
  struct Names: Decodable {
    enum Origin: Decodable {
      case whole(String)
      case part(String, Int)

      init(from decoder: any Decoder) throws {
        if let name = try? decoder.singleValueContainer().decode(String.self) {
          self = .whole(name)
          return
        }
        var list = try decoder.unkeyedContainer()
        self = .part(try list.decode(String.self), try list.decode(Int.self))
      }

      var place: TensorPlace {
        switch self {
        case .whole(let name): TensorPlace(name)
        case .part(let name, let part): TensorPlace(name, part: part, of: 3)
        }
      }
    }

    let shapes: [String: [Int]]
    let made: [String: Origin]
    /// As diffusers or transformers is told to make it.
    let config: DiffusersConfiguration

    var allShapes: [String: Shape] { shapes.mapValues { Shape($0) } }
  }

  /// By component and case.
  static let names = try! JSONDecoder().decode(
    [String: [String: Names]].self,
    from: Data(contentsOf: URL(filePath: folder + "/names.json")))
}

/// A folder that goes with its owner.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/import-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A copy of the tiny checkpoint that may be damaged.
  func tinyCopy() throws -> String {
    let copy = path + "/Tiny Copy"
    try FileManager.default.copyItem(atPath: Fixtures.tiny, toPath: copy)
    return copy
  }

  var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }
}

/// The tensors of a single file, to be written with any change.
struct SingleFileDraft {
  typealias Tensor = SafetensorsWriter.Tensor

  static let empty = SingleFileDraft()

  var tensors: [String: Tensor] = [:]

  private init() {}

  /// The tiny checkpoint in one file, in f16.
  static func tiny() throws -> SingleFileDraft { try SingleFileDraft(type: .float16) }

  /// The tiny checkpoint in one file.
  /// - Parameter type: Of its numbers, one of the three.
  init(type: SafetensorsType) throws {
    let parts = [
      ("unet", "unet/diffusion_pytorch_model", "model.diffusion_model."),
      ("textEncoder", "text_encoder/model", "cond_stage_model.transformer."),
      ("autoencoder", "vae/diffusion_pytorch_model", "first_stage_model."),
    ]
    for (component, path, prefix) in parts {
      let names = Fixtures.names[component]!["tiny"]!
      let file = try SafetensorsFile(path: "\(Fixtures.tiny)/\(path).safetensors")
      for (ours, origin) in names.made {
        let theirs = origin.place.name
        let plain =
          ours.hasPrefix("text_model.") ? String(ours.dropFirst("text_model.".count)) : ours
        let tensor = file.tensor(named: ours) ?? file.tensor(named: plain)!
        set(prefix + theirs, names.shapes[theirs]!, Self.widened(tensor), type)
      }
    }
  }

  static func widened(_ tensor: SafetensorsFile.Tensor) -> [Float] {
    tensor.bytes.withMemoryRebound(to: UInt8.self) { bytes in
      (0..<bytes.count / 2).map {
        Float(Float16(bitPattern: UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8))
      }
    }
  }

  mutating func set(
    _ name: String, _ shape: [Int], _ numbers: [Float], _ type: SafetensorsType = .float32
  ) {
    let bytes: [UInt8] =
      switch type {
      case .float16: numbers.map { Float16($0) }.withUnsafeBytes { Array($0) }
      case .bfloat16:
        numbers.map { UInt16($0.bitPattern >> 16) }.withUnsafeBytes { Array($0) }
      default: numbers.withUnsafeBytes { Array($0) }
      }
    tensors[name] = Tensor(name: name, type: type, shape: shape, bytes: bytes)
  }

  mutating func rename(_ name: String, to other: String) {
    let tensor = tensors.removeValue(forKey: name)!
    tensors[other] = Tensor(
      name: other, type: tensor.type, shape: tensor.shape, bytes: tensor.bytes)
  }

  func write(to path: String) throws {
    try SafetensorsWriter.write(tensors.values.sorted { $0.name < $1.name }, to: path)
  }
}

extension ModelImporter {
  /// With the tiny vocabulary for what has none.
  static func importing(
    _ source: String, to folder: String, _ change: (inout Options) -> Void = { _ in }
  ) throws -> Result {
    var options = Options(source: source, destination: folder, vocabulary: Fixtures.merges)
    change(&options)
    return try ModelImporter(options).run()
  }
}

extension DiffusersConfiguration {
  /// As a family reads it from a package.
  init(_ tree: JSONTree) throws {
    self = try JSONDecoder().decode(Self.self, from: Data(tree.fileBytes))
  }
}
