import Graph
import Models
import TensorTypes
import Weights

/// One part of a checkpoint: what a set of networks is made from, by diffusers' configuration, and
/// its tensors.
struct Component {
  /// The parts that there must be; raw values are the names of their weights in a package.
  enum Kind: String, CaseIterable {
    case textEncoder
    case unet
    case autoencoder

    /// For people.
    var noun: String {
      switch self {
      case .textEncoder: "text encoder"
      case .unet: "UNet"
      case .autoencoder: "autoencoder"
      }
    }

    var fileName: String { "\(rawValue).safetensors" }
  }

  let kind: Kind
  var configuration: JSONTree
  let table: TensorTable
  /// Where a weight, by its name in today's diffusers and transformers, may be in `table`, best
  /// first; never empty.
  let places: (String) -> [TensorPlace]

  init(
    _ kind: Kind, configuration: JSONTree, table: TensorTable,
    places: @escaping (String) -> [TensorPlace]
  ) {
    (self.kind, self.configuration) = (kind, configuration)
    (self.table, self.places) = (table, places)
  }

  /// What each of the networks' weights is made of.
  /// - Throws: `ImportError` that names the first tensor that is missing, of another shape, of
  ///   numbers that are not read, or left over.
  func match(_ weights: [WeightReference]) throws(ImportError) -> [MatchedWeight] {
    var used: Set<String> = []
    var matched: [MatchedWeight] = []
    for reference in weights {
      let places = places(reference.name)
      guard let place = places.first(where: { table.tensors[$0.name] != nil }),
        let whole = table.tensors[place.name]
      else {
        throw .missingTensor(
          path: table.path, tensor: places[0].name, component: kind.noun)
      }
      used.insert(place.name)
      guard let source = whole.rows(part: place.part, of: place.parts) ?? scalar(whole),
        let layout = MatchedWeight.Layout(from: source.shape, to: reference.shape)
      else {
        var expected = reference.shape.dimensions
        if !expected.isEmpty { expected[0] *= place.parts }
        throw .wrongShape(
          path: whole.path, tensor: whole.name, expected: Self.filed(Shape(expected)),
          actual: whole.shape)
      }
      switch source.type {
      case .float32, .float16, .bfloat16: break
      default: throw .wrongType(path: whole.path, tensor: whole.name, type: source.type)
      }
      matched.append(MatchedWeight(reference: reference, source: source, layout: layout))
    }
    let strays = table.names.filter { !used.contains($0) && !Self.isKnownlyUnread($0) }
    if let first = strays.first {
      throw .strayTensors(
        path: table.path, first: table.tensors[first]!.name, count: strays.count)
    }
    return matched
  }

  private func scalar(_ tensor: SourceTensor) -> SourceTensor? {
    tensor.shape.rank == 0 ? tensor : nil
  }

  /// A network's shape as files have it: `[out, in, y, x]`.
  private static func filed(_ shape: Shape) -> Shape {
    shape.rank == 4 ? [shape[0], shape[3], shape[1], shape[2]] : shape
  }

  /// Tables that a program computes for itself and some save, and what belongs to other uses of
  /// the same network.
  private static func isKnownlyUnread(_ name: String) -> Bool {
    name.hasSuffix("position_ids") || name.hasPrefix("loss.")
      || ["text_projection", "text_projection.weight", "logit_scale", "model_ema"].contains(name)
  }
}

/// A network's weight and what it is made of.
struct MatchedWeight {
  enum Layout: Hashable {
    case same
    /// `[out, in, 3, 3]` in the file, `[out, 3, 3, in]` in the network.
    case channelsInnermost

    /// Nil where the shapes contradict each other.
    init?(from file: Shape, to network: Shape) {
      if network.rank == 4 {
        guard file == [network[0], network[3], network[1], network[2]] else { return nil }
        self = .channelsInnermost
        return
      }
      // Convolutions of 1 by 1 are matrices here, as newer files have them too.
      let isKernelOfOne =
        network.rank == 2 && 3...4 ~= file.rank
        && file.dimensions.dropFirst(2).allSatisfy { $0 == 1 }
        && file.dimensions.prefix(2).elementsEqual(network.dimensions)
      guard file == network || isKernelOfOne else { return nil }
      self = .same
    }
  }

  let reference: WeightReference
  let source: SourceTensor
  let layout: Layout
}
