package import BananaAPI
package import Diffusion
import Synchronization

/// The embeddings that a request's prompts name.
package struct NamedEmbeddings: Sendable {
  package var uses: [PeelUse] = []
  /// Which words were not read as embeddings, though they could have been, and why.
  package var warnings: [String] = []
}

extension PeelRegistry {
  /// What `uid` writes into prompts and has installed, open and checked.
  /// - Parameter fits: Whether the model takes it.
  /// - Throws: `APIError` with code `peelNotFound` or `peelInvalid` for what can be nothing but an
  ///   embedding and is none, or none of this model; `insufficientMemory`.
  package func embeddings(
    namedIn prompts: [(param: String, text: String)], for uid: UInt32,
    fits: (OpenPeel) throws -> Void
  ) async throws(APIError) -> NamedEmbeddings {
    let viewer = PeelOwner.user(uid)
    await ready(for: viewer)
    let pot = await pot(of: viewer)
    let installed = index.withLock { $0.visible(to: viewer) }.values
      .filter { $0.record.vectors != nil }
    var embeddings = NamedEmbeddings()
    let names = PromptEmbeddings(installed.map { ($0.name, $0.record.token) })
    for named in names.named(in: prompts.map(\.text)) {
      do throws(PeelRegistryError) {
        guard named.isKnown else { throw missing(named.name, installed.map(\.name), uid) }
        let use = try await open(named.name, for: viewer, in: pot).used(at: 1)
        do {
          try fits(use.peel)
          embeddings.uses.append(use)
        } catch {
          // A word that means something without it as well.
          if named.isExplicit { throw .invalid(reason: "\"\(named.name)\": \(error)") }
          embeddings.warnings.append(
            "\"\(named.name)\" was read as any other word: \(error)")
        }
      } catch {
        var refusal = APIError(error)
        if refusal.param != nil || refusal.code == .peelInvalid {
          refusal.param =
            names.named(in: [prompts[0].text]).contains { $0.name == named.name }
            ? prompts[0].param : prompts.last?.param
        }
        throw refusal
      }
    }
    return embeddings
  }

  private func missing(
    _ name: String, _ installed: [String], _ uid: UInt32
  ) -> PeelRegistryError {
    index.withLock { $0.visible(name, to: .user(uid)) } != nil
      ? .noEmbedding(name: name) : .unknownEmbedding(name: name, known: installed.sorted())
  }
}
