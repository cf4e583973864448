import Graph
import Synchronization
import TensorTypes
package import Weights

/// The layers of a model that peels may change, by the names that peels have for them.
package final class PeelSites: Sendable {
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
  fileprivate func resolve(_ peel: PeelFile) throws(PeelError) -> ResolvedPeel {
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
    return ResolvedPeel(updates: updates)
  }

  /// Kohya's names have underscores where the network's have dots, so names are compared so.
  private static func key(_ name: some StringProtocol) -> String {
    String(name.map { $0 == "." ? "_" : $0 })
  }
}

/// A peel as one model takes it.
struct ResolvedPeel: Sendable {
  /// The change at each site; its numbers stay in the peel's file.
  let updates: [WeightReference: PeelFile.Update]
}

/// A peel that is open, with what the models that asked for it make of it.
package final class OpenPeel: Sendable {
  package let file: PeelFile
  /// One for each model; those of models that were closed go with the next one.
  private let resolved = Mutex<[Known]>([])

  private struct Known {
    weak var sites: PeelSites?
    let peel: ResolvedPeel
  }

  package init(_ file: PeelFile) { self.file = file }

  /// Checks that the peel was made for a model.
  /// - Throws: `PeelError`.
  package func check(for sites: PeelSites) throws(PeelError) { _ = try resolved(for: sites) }

  /// The peel as a model takes it; looked up once.
  /// - Throws: `PeelError`.
  func resolved(for sites: PeelSites) throws(PeelError) -> ResolvedPeel {
    if let known = resolved.withLock({ $0.first { $0.sites === sites } }) { return known.peel }
    let peel = try sites.resolve(file)
    resolved.withLock { known in
      known.removeAll { $0.sites == nil }
      known.append(Known(sites: sites, peel: peel))
    }
    return peel
  }
}
