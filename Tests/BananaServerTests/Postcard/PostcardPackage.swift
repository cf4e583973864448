import BananaTesting
import Diffusion
import Foundation
import Graph
import Models
import TensorTypes
import Weights

/// A package of the family with random weights.
enum PostcardPackage {
  static let catalog = ModelCatalog(["postcard": Postcard.self])

  static func write(to folder: String) throws {
    let family = try Postcard(Postcard.Configuration(width: 16, steps: 3))
    var files: [String: [UInt8]] = [:]
    for (name, words) in Postcard.vocabularies {
      files["\(name).txt"] = Array((words.joined(separator: "\n") + "\n").utf8)
    }
    for (index, network) in family.networks.enumerated() {
      let graph = family.graph(of: network.name, family.facts.smallestExtents)
      let tensors = graph.weights.enumerated().map { number, weight in
        let noise = Philox(seed: UInt64(index), stream: UInt32(number))
        // The decoder's so small that most of its numbers are within -1...1.
        let gain: Float = network.role == .decoder ? 0.1 : 1
        let scale = gain / Float(weight.shape.last).squareRoot()
        let values = (0..<weight.shape.count).map { noise.normal(at: $0) * scale }
        return SafetensorsWriter.Tensor(
          name: weight.name, type: .float32, shape: weight.shape.dimensions,
          bytes: values.withUnsafeBytes { Array($0) })
      }
      files["\(network.name).safetensors"] = SafetensorsWriter.bytes(tensors)
    }
    for (name, bytes) in files { try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)")) }
    let records = files.map { name, bytes in
      let sum = bytes.withUnsafeBytes { ModelPackage.checksum(of: $0) }
      return "\"\(name)\": {\"sha256\": \"\(sum)\", \"bytes\": \(bytes.count)}"
    }
    let weights = family.networks.map { "\"\($0.weights)\": [\"\($0.name).safetensors\"]" }
    let manifest = """
      {"formatVersion": 2, "name": "postcard", "family": "postcard", "version": "1",
       "description": "Postcards.", "licenses": [], "configuration": {"width": 16, "steps": 3},
       "files": {\(records.joined(separator: ", "))},
       "weights": {\(weights.joined(separator: ", "))}}
      """
    try Data(manifest.utf8).write(to: URL(filePath: folder + "/model.json"))
  }
}
