import FoundationEssentials
import ModelImport
import Weights

/// What people import.
extension FuzzTarget {
  private static let fixtures = Corpus.folder + "/../checkpoints"
  private static let largestTensor = 1 << 16

  /// The shapes of a sound single file, by name.
  private static let sound: [String: [Int]] = {
    struct Names: Decodable { let shapes: [String: [Int]] }
    let prefixes = [
      "unet": "model.diffusion_model.", "textEncoder": "cond_stage_model.transformer.",
      "autoencoder": "first_stage_model.",
    ]
    guard let json = FileManager.default.contents(atPath: fixtures + "/names.json"),
      let names = try? JSONDecoder().decode([String: [String: Names]].self, from: json)
    else { preconditionFailure("\(fixtures)/names.json is missing") }
    var shapes: [String: [Int]] = [:]
    for (component, prefix) in prefixes {
      for (name, shape) in names[component]?["tiny"]?.shapes ?? [:] {
        shapes[prefix + name] = shape
      }
    }
    return shapes
  }()

  static func checkpoint(_ input: [UInt8]) throws(Violation) {
    var shapes = sound
    for line in String(decoding: input, as: UTF8.self).split(whereSeparator: \.isNewline) {
      let words = line.split(separator: " ")
      guard let name = words.first else { continue }
      let shape = words.dropFirst().prefix(8).map { Int($0) ?? 0 }
      let isSmall =
        shape.allSatisfy { 0...largestTensor ~= $0 }
        && shape.reduce(1, { min($0 * $1, largestTensor + 1) }) <= largestTensor
      if name.hasPrefix("-") {
        shapes[String(name.dropFirst())] = nil
      } else if isSmall {
        shapes[String(name)] = shape
      }
    }
    let tensors = shapes.sorted { $0.key < $1.key }.map { name, shape in
      SafetensorsWriter.Tensor(
        name: name, type: .float16, shape: shape,
        bytes: [UInt8](repeating: 0, count: 2 * shape.reduce(1, *)))
    }
    let file = MappedFile(contents: SafetensorsWriter.bytes(tensors), path: "file")
    let options = ModelImporter.Options(
      source: "file", destination: "/", vocabulary: fixtures + "/tiny/tokenizer/merges.txt")
    do throws(ImportError) {
      try ModelImporter(options).check(file)
    } catch {
      try expect(!input.isEmpty, "a sound file is refused: \(error)")
      return try expectText(error)
    }
    let isWhole = sound.allSatisfy { shapes[$0.key] != nil }
    try expect(isWhole, "a file that lacks a tensor passes")
  }
}
