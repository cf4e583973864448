package import BananaAPI
package import Diffusion
import Synchronization
import Weights

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension PeelRegistry {
  /// What `uid` asks for, open and checked. Every name is looked up before a file is opened.
  /// - Throws: `APIError` with code `peelNotFound`, `peelInvalid` or `insufficientMemory`.
  package func uses(
    of references: [PeelReference], for uid: UInt32
  ) async throws(APIError) -> [PeelUse] {
    do throws(PeelRegistryError) {
      await ready(for: .user(uid))
      for reference in references {
        let entry = try find(reference.name, for: .user(uid))
        if entry.record.vectors != nil { throw .embedding(name: reference.name) }
      }
      var uses: [PeelUse] = []
      for reference in references {
        let peel = try await open(reference.name, for: .user(uid))
        uses.append(peel.used(at: Float(reference.strength)))
      }
      return uses
    } catch {
      var refusal = APIError(error)
      if refusal.param != nil { refusal.param = "peels" }
      throw refusal
    }
  }

  func open(
    _ name: String, for viewer: PeelOwner
  ) async throws(PeelRegistryError) -> InstalledPeel {
    while true {
      let entry = try find(name, for: viewer)
      let outcome = await opened(entry)
      // It may have been removed or replaced meanwhile: then the new one is meant.
      guard index.withLock({ $0.visible(name, to: viewer) }) === entry else { continue }
      let peel = try outcome.get()
      index.withLock { $0.keep(peel, of: entry) }
      return peel
    }
  }

  /// The peel as somebody has it open already, or opened now; never twice at once.
  private func opened(_ entry: PeelEntry) async -> Result<InstalledPeel, PeelRegistryError> {
    let (live, task) = entry.opened.withLock { opened -> (InstalledPeel?, Opening?) in
      if let live = opened.kept ?? opened.live { return (live, nil) }
      let task =
        opened.opening
        ?? Task { [self] in
          let outcome: Result<InstalledPeel, PeelRegistryError>
          do throws(PeelRegistryError) { outcome = .success(try await load(entry)) } catch {
            outcome = .failure(error)
          }
          entry.opened.withLock { opened in
            opened.opening = nil
            opened.live = try? outcome.get()
          }
          return outcome
        }
      opened.opening = task
      return (nil, task)
    }
    if let live { return .success(live) }
    return await task!.value
  }

  private typealias Opening = Task<Result<InstalledPeel, PeelRegistryError>, Never>

  private func load(_ entry: PeelEntry) async throws(PeelRegistryError) -> InstalledPeel {
    let lease = try lease(entry.record.bytes, for: entry.pot)
    let path = entry.path
    let file = try await work.run(for: entry.pot) { () throws(PeelRegistryError) in
      if access(path, F_OK) != 0, errno == ENOENT { throw .vanished(name: entry.name) }
      return try Self.read(path)
    }
    guard file.sha256 == entry.record.sha256 else {
      throw .changed(name: entry.name, expected: entry.record.sha256, actual: file.sha256)
    }
    let content = OpenPeel(file)
    try await checkAgainstModels(content)
    return InstalledPeel(
      name: entry.name, content, distillation: entry.record.distillation,
      holders: entry.holders, lease: lease)
  }

  /// Room in memory, if need be instead of what is only kept for the next job.
  func lease(_ bytes: Int, for pot: PeelPot) throws(PeelRegistryError) -> PeelMemory.Lease? {
    let limits = limits
    do throws(PeelRegistryError) { return try memory.lease(bytes, for: pot, limits) } catch {
      index.withLock { $0.forgetAll() }
      return try memory.lease(bytes, for: pot, limits)
    }
  }

  @discardableResult
  func checkAgainstModels(_ peel: OpenPeel) async throws(PeelRegistryError) -> Set<PeelModels.Key> {
    do {
      return try await models.fits(peel)
    } catch let error as ModelLibraryError {
      throw .model(APIError(error))
    } catch {
      throw .invalid(reason: "\(error)")
    }
  }

  /// Reads a file and checks it; on a thread that may block.
  static func read(_ path: String) throws(PeelRegistryError) -> PeelFile {
    do throws(PeelError) { return try PeelFile(path: path) } catch {
      throw .invalid(reason: "\(error)")
    }
  }
}
