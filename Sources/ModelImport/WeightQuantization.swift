import Graph
import TensorTypes

/// How the weights of an imported model are stored.
package enum WeightQuantization: String, CaseIterable, Sendable {
  /// Integers of 8 bits for products and convolutions, a scale an output.
  case w8a8
  /// Integers of 4 bits, a scale for 32 inputs, for the products of the UNet's transformers; 8 bits
  /// for the rest.
  case w4a8
  /// All of them in f16.
  case f16

  private static let group = 32

  /// The format of each weight that the graphs of a component read.
  ///
  /// What costs little and errs much stays in f16: the first and the last convolution of a network
  /// (30 dB and 39 to 50 dB where others have 50 to 80 in published measurements), the embedding of
  /// the time, which all blocks read, tables, and autoencoders, of which only a tiny one's decoder
  /// loses little enough (31 dB of its pixels are left). Vectors stay in f32.
  func formats(of kind: Component.Kind, _ graphs: [Graph]) -> [WeightReference: StorageFormat] {
    var formats: [WeightReference: StorageFormat] = [:]
    for graph in graphs {
      for weight in graph.weights {
        formats[weight] = weight.shape.rank < 2 ? .float32 : .float16
      }
    }
    if self == .f16 { return formats }
    for graph in graphs where kind != .autoencoder || graph.isTinyDecoder {
      let ends = graph.endConvolutions
      for node in graph.nodes {
        guard let weight = node.op.weightProduct?.weight, !ends.contains(weight),
          !weight.name.hasPrefix("time_embedding.")
        else { continue }
        let isSmall = self == .w4a8 && weight.name.contains(".transformer_blocks.")
        formats[weight] = isSmall ? .int4(group: Self.group) : .int8
      }
    }
    return formats
  }
}

extension Graph {
  /// Whether it is a decoder without norms.
  fileprivate var isTinyDecoder: Bool {
    name == "decoder"
      && !nodes.contains {
        if case .groupNorm = $0.op { true } else { false }
      }
  }

  /// The weights of its first and its last convolution.
  fileprivate var endConvolutions: [WeightReference] {
    let weights = nodes.compactMap { node in
      if case .convolution(let op) = node.op { op.weight } else { nil }
    }
    return [weights.first, weights.last].compactMap { $0 }
  }
}

extension StorageFormat {
  /// As it is recorded and shown.
  var name: String {
    switch self {
    case .float32: "f32"
    case .float16: "f16"
    case .bfloat16: "bf16"
    case .int8, .int8Rows: "int8"
    case .int4(let group), .int4Rows(let group): "int4 by \(group)"
    }
  }
}
