import Models
import TensorTypes

extension ModelImporter.LayerError {
  /// Of the weights of a component that were rounded to integers.
  static func all(_ kind: Component.Kind, _ records: [WeightFile.Record]) -> [Self] {
    records.compactMap { record in
      record.decibels.map {
        Self(
          component: kind.rawValue, name: record.name, format: record.format.name, decibels: $0)
      }
    }
  }

  /// How every weight is stored and what that cost, as a package keeps it.
  static func record(
    _ quantization: WeightQuantization,
    _ components: some Sequence<(Component.Kind, [WeightFile.Record])>
  ) -> JSONTree {
    var tree: JSONTree = [:]
    for (kind, records) in components {
      var weights: JSONTree = [:]
      for record in records {
        var entry: JSONTree = [
          "format": .text(record.format.name), "shape": JSONTree(record.shape.dimensions),
        ]
        if let decibels = record.decibels {
          entry["decibels"] = .number((decibels * 100).rounded() / 100)
        }
        weights[record.name] = entry
      }
      tree[kind.rawValue] = weights
    }
    return ["quantization": .text(quantization.rawValue), "weights": tree]
  }
}
