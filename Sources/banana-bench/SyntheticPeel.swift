import Diffusion
import Graph
import Models
import TensorTypes
import Weights

/// A peel of random numbers that changes every linear of a model's layers.
enum SyntheticPeel {
  static func make(for model: LoadedModel, rank: Int, seed: UInt64) throws -> PeelFile {
    var tensors: [SafetensorsWriter.Tensor] = []
    let denoiser = model.family.network(.denoiser).name
    for node in model.family.graph(of: denoiser, model.facts.smallestExtents).nodes {
      guard case .linear(let op) = node.op, op.weight.name.hasPrefix("layers.") else { continue }
      let target = op.weight.name.dropLast(".weight".count)
      for (part, shape) in [("A", [rank, op.weight.shape[1]]), ("B", [op.weight.shape[0], rank])] {
        let noise = Philox(seed: seed, stream: UInt32(tensors.count))
        let values = (0..<shape[0] * shape[1]).map { Float16(noise.normal(at: $0) * 0.01) }
        tensors.append(
          .init(
            name: "\(target).lora_\(part).weight", type: .float16, shape: shape,
            bytes: values.withUnsafeBytes { Array($0) }))
      }
    }
    return try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "synthetic")
  }
}
