import Synchronization

/// Counts the bytes of peels that are in memory because a user asked for them: jobs that wait hold
/// them, and files that are checked; and what is only kept for the next job.
final class PeelMemory: Sendable {
  /// Holds its bytes while it lives.
  final class Lease: Sendable {
    private let bytes: Int
    private let pot: PeelPot
    private let memory: PeelMemory

    fileprivate init(bytes: Int, pot: PeelPot, memory: PeelMemory) {
      self.bytes = bytes
      self.pot = pot
      self.memory = memory
    }

    deinit {
      memory.held.withLock { held in
        held[pot, default: 0] -= bytes
        if held[pot] == 0 { held[pot] = nil }
      }
    }
  }

  /// What a lease is told.
  enum Answer {
    case lease(Lease)
    /// There is room once the pot, or somebody, lets go of what is only kept.
    case letGo(ofAny: Bool)
  }

  private let held = Mutex<[PeelPot: Int]>([:])

  /// Room for `bytes` of an account's: as much of what is not held as it holds itself then, so
  /// that whoever comes next finds some (`Shares`).
  /// - Parameter kept: By pot, what nobody draws with: it is no part of a share.
  /// - Throws: `PeelRegistryError.tooMuchOpen` and `.tooMuchOpenByAll` for what has no room,
  ///   whatever is let go of.
  func lease(
    _ bytes: Int, for pot: PeelPot, kept: [PeelPot: Int], _ limits: PeelRegistry.Limits
  ) throws(PeelRegistryError) -> Answer {
    try held.withLock { held throws(PeelRegistryError) in
      let total = held.values.reduce(0, +)
      let mine = bytes + held[pot, default: 0]
      let capacity = 2 * limits.openBytes
      let used = mine - kept[pot, default: 0]
      if used > limits.openBytes {
        throw .tooMuchOpen(neededBytes: bytes, maximumBytes: limits.openBytes)
      }
      let usedByAll = bytes + held.reduce(0) { $0 + $1.value - kept[$1.key, default: 0] }
      if used > capacity - usedByAll { throw .tooMuchOpenByAll(neededBytes: bytes) }
      if mine > limits.openBytes { return .letGo(ofAny: false) }
      if bytes + total > capacity { return .letGo(ofAny: true) }
      held[pot] = mine
      return .lease(Lease(bytes: bytes, pot: pot, memory: self))
    }
  }
}
