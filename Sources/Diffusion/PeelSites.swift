package import Graph
import TensorTypes
package import Weights

/// The layers of a model that peels may change, by the names that peels have for them.
package struct PeelSites: Sendable {
  private let model: String
  /// Of the file that the layers' weights are in; nil if it is not known.
  private let baseSHA256: String?
  private let targets: [String: WeightReference]

  /// - Parameters:
  ///   - graphs: The networks that are open to peels.
  ///   - model: The model's name, for errors.
  ///   - baseSHA256: Of the file that the networks' weights are in.
  init(in graphs: [Graph], model: String, baseSHA256: String?) {
    self.model = model
    self.baseSHA256 = baseSHA256
    var targets: [String: WeightReference] = [:]
    for node in graphs.flatMap(\.nodes) {
      guard case .linear(let op) = node.op, op.weight.name.hasSuffix(".weight") else { continue }
      let key = Self.key(op.weight.name.dropLast(".weight".count))
      let known = targets.updateValue(op.weight, forKey: key)
      precondition(known == nil || known == op.weight, "two linears are called \(op.weight.name)")
    }
    self.targets = targets
  }

  /// The sites that a peel changes, with the change to each.
  /// - Throws: `PeelError` unless each update names one of them and fits it.
  package func resolve(
    _ peel: PeelFile
  ) throws(PeelError) -> [WeightReference: PeelFile.Update] {
    if let expected = peel.texts.baseModelHash, expected != baseSHA256 {
      throw .wrongBase(
        model: model, expectedSHA256: expected, actualSHA256: baseSHA256 ?? "")
    }
    var updates: [WeightReference: PeelFile.Update] = [:]
    for update in peel.updates {
      guard update.network == .denoiser else {
        throw .closedNetwork(update.network, target: update.target, model: model)
      }
      guard let weight = targets[Self.key(update.target)] else {
        throw .unknownTarget(target: update.target, model: model)
      }
      let shape: Shape = [update.outWidth, update.inWidth]
      guard shape == weight.shape else {
        throw .unfitUpdate(target: update.target, expected: weight.shape, actual: shape)
      }
      guard updates.updateValue(update, forKey: weight) == nil else {
        throw .repeatedTarget(target: update.target)
      }
    }
    return updates
  }

  /// Kohya's names have underscores where the network's have dots, so names are compared so.
  private static func key(_ name: some StringProtocol) -> String {
    String(name.map { $0 == "." ? "_" : $0 })
  }
}
