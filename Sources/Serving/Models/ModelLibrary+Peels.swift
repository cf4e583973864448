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
        shelf.withLock { shelf in
          Dictionary(shelf.usable.map { ($0.peelKey, $0.model.name) }) { $1 }
        }
      },
      check: { [self] in await peelCheck() })
  }

  /// What compares peels with each model, made so that comparing needs nothing of the library.
  private func peelCheck() async -> PeelModels.Check {
    if !isListed { await rescan() }
    var checks: [(key: PeelModels.Key, check: Result<PeelCheck, any Error>)] = []
    // What is wrong with the default model's is told first.
    let order = shelf.withLock { shelf in shelf.usable.map { ($0.peelKey, $0.model) } }
    for (key, model) in order {
      do { checks.append((key, .success(try await peelCheck(of: model)))) } catch {
        checks.append((key, .failure(error)))
      }
    }
    let missing = shelf.withLock { $0.missing(nil, in: settings.folders) }
    return { [checks] peel in
      guard let fits = try Self.fits(of: peel, checks) else { throw missing }
      return fits
    }
  }

  /// The models that a peel fits; nil if there is none.
  /// - Throws: What is wrong with the peel if it fits none.
  private static func fits(
    of peel: OpenPeel, _ checks: [(key: PeelModels.Key, check: Result<PeelCheck, any Error>)]
  ) throws -> Set<PeelModels.Key>? {
    var fits: Set<PeelModels.Key> = []
    var failures: [any Error] = []
    for (key, check) in checks {
      do {
        try check.get()(peel)
        fits.insert(key)
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
    return nil
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
