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
    let viewer = PeelOwner.user(uid)
    do throws(PeelRegistryError) {
      await ready(for: viewer)
      for reference in references {
        let entry = try find(reference.name, for: viewer)
        if entry.record.vectors != nil { throw .embedding(name: reference.name) }
      }
      let pot = await pot(of: viewer)
      var uses: [PeelUse] = []
      for reference in references {
        let peel = try await open(reference.name, for: viewer, in: pot)
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
    _ name: String, for viewer: PeelOwner, in pot: PeelPot
  ) async throws(PeelRegistryError) -> InstalledPeel {
    while true {
      let entry = try find(name, for: viewer)
      let outcome = await opened(entry, in: pot)
      // It may have been removed or replaced meanwhile: then the new one is meant.
      guard index.withLock({ $0.visible(name, to: viewer) }) === entry else { continue }
      let peel = try outcome.get()
      index.withLock { $0.keep(peel, of: entry) }
      return peel
    }
  }

  /// The peel as somebody has it open already, or opened now, by the first whose turn comes; never
  /// twice at once.
  /// - Parameter pot: Whose turn it is done in, and who pays for it: of who asks, whoever's the
  ///   peel is.
  private func opened(
    _ entry: PeelEntry, in pot: PeelPot
  ) async -> Result<InstalledPeel, PeelRegistryError> {
    if let live = entry.live { return .success(live) }
    return await work.inTurn(of: pot) { turn in
      await entry.opening.value { [self] in
        if let live = entry.live { return .success(live) }
        let outcome: Result<InstalledPeel, PeelRegistryError>
        do throws(PeelRegistryError) { outcome = .success(try await load(entry, turn)) } catch {
          outcome = .failure(error)
        }
        entry.opened.withLock { $0.live = try? outcome.get() }
        return outcome
      }
    }
  }

  private func load(
    _ entry: PeelEntry, _ turn: BackgroundWork<PeelPot>.Turn
  ) async throws(PeelRegistryError) -> InstalledPeel {
    let lease = try lease(entry.record.bytes, for: entry.pot)
    let path = entry.path
    let file = try await turn.run { () throws(PeelRegistryError) in
      if access(path, F_OK) != 0, errno == ENOENT { throw .vanished(name: entry.name) }
      return try Self.read(path)
    }
    guard file.sha256 == entry.record.sha256 else {
      throw .changed(name: entry.name, expected: entry.record.sha256, actual: file.sha256)
    }
    let content = OpenPeel(file)
    try await checkAgainstModels(content, turn)
    return InstalledPeel(
      name: entry.name, content, distillation: entry.record.distillation,
      holders: entry.holders, lease: lease)
  }

  /// Room in memory, if need be instead of what is only kept for the next job; what is for all is
  /// the administrator's own choice.
  func lease(_ bytes: Int, for pot: PeelPot) throws(PeelRegistryError) -> PeelMemory.Lease? {
    guard case .account = pot else { return nil }
    while true {
      let (limits, kept) = index.withLock { ($0.limits, $0.idleBytes) }
      switch try memory.lease(bytes, for: pot, kept: kept, limits) {
      case .lease(let lease): return lease
      case .letGo(let any):
        if index.withLock({ $0.letGo(for: pot, ofAny: any) }) { continue }
        // Somebody has begun to draw with it meanwhile.
        throw any
          ? .tooMuchOpenByAll(neededBytes: bytes)
          : .tooMuchOpen(neededBytes: bytes, maximumBytes: limits.openBytes)
      }
    }
  }

  /// Compares a peel with the models that there are, on a thread that may take its time.
  @discardableResult
  func checkAgainstModels(
    _ peel: OpenPeel, _ turn: BackgroundWork<PeelPot>.Turn
  ) async throws(PeelRegistryError) -> Set<PeelModels.Key> {
    let check = await models.check()
    return try await turn.run { () throws(PeelRegistryError) in
      do { return try check(peel) } catch let error as ModelLibraryError {
        throw .model(APIError(error))
      } catch {
        throw .invalid(reason: "\(error)")
      }
    }
  }

  /// Reads a file and checks it; on a thread that may block.
  static func read(_ path: String) throws(PeelRegistryError) -> PeelFile {
    do throws(PeelError) { return try PeelFile(path: path) } catch {
      throw .invalid(reason: "\(error)")
    }
  }
}
