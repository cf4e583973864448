package import Diffusion
import Synchronization
import Weights

// Which peels are for which models; told from manifests, without opening anything.
extension ModelLibrary {
  /// Checks peels against one model; throws `PeelError`.
  package typealias PeelCheck = @Sendable (OpenPeel) throws -> Void

  /// For the peel registry.
  package var peelModels: PeelModels {
    PeelModels(
      installed: { [self] in
        var names: [PeelModels.Key: String] = [:]
        for model in shelf.withLock({ $0.usableModels }) { names[model.peelKey] = model.name }
        return names
      },
      fits: { [self] in try await models(for: $0) })
  }

  /// The models that a peel fits.
  /// - Throws: What is wrong with the peel if it fits none, `ModelLibraryError` if there is none.
  private func models(for peel: OpenPeel) async throws -> Set<PeelModels.Key> {
    if !isListed { await rescan() }
    // What is wrong with the default model's is told first.
    let order: [InstalledModel] = shelf.withLock { $0.usableModels }
    var fits: Set<PeelModels.Key> = []
    var failures: [any Error] = []
    for model in order {
      do {
        try await peelCheck(of: model)(peel)
        fits.insert(model.peelKey)
      } catch { failures.append(error) }
    }
    if !fits.isEmpty { return fits }
    // A peel that names its model by hash is told what does not fit that one, and one for a kind
    // of model what does not fit one of that kind.
    let ofOwn = failures.first { failure in
      switch failure {
      case PeelError.wrongBase, PeelError.noEmbeddings,
        PeelError.otherArchitecture(_, _, is: nil):
        false
      default: true
      }
    }
    if let failure = ofOwn ?? failures.first { throw failure }
    throw shelf.withLock { $0.missing(nil, in: settings.folders) }
  }

  private func peelCheck(of model: InstalledModel) async throws -> PeelCheck {
    if let known = shelf.withLock({ $0.entries[model.name]?.peelCheck(of: model) }) { return known }
    let check = try await lists.run { [makePeelCheck] in try makePeelCheck(model) }
    shelf.withLock { shelf in
      if shelf.entries[model.name]?.model == model { shelf.entries[model.name]?.peelCheck = check }
    }
    return check
  }
}

extension InstalledModel {
  /// Equal for packages of equal networks and weights.
  var peelKey: PeelModels.Key {
    files.sorted { $0.key < $1.key }.reduce(into: "\(name) \(version)") { $0 += " \($1.value)" }
  }
}
