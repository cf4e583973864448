import Synchronization

/// Counts the bytes of peels that are in memory because a user asked for them: jobs that wait hold
/// them, and files that are checked.
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

  private let held = Mutex<[PeelPot: Int]>([:])

  /// Room for `bytes` of a user's; what is for all is the administrator's own choice.
  /// - Throws: `PeelRegistryError.tooMuchOpen`.
  func lease(
    _ bytes: Int, for pot: PeelPot, _ limits: PeelRegistry.Limits
  ) throws(PeelRegistryError) -> Lease? {
    guard case .account = pot else { return nil }
    try held.withLock { held throws(PeelRegistryError) in
      let total = held.values.reduce(0, +)
      if bytes + (held[pot] ?? 0) > limits.openBytes || bytes + total > 2 * limits.openBytes {
        throw .tooMuchOpen(neededBytes: bytes, maximumBytes: limits.openBytes)
      }
      held[pot, default: 0] += bytes
    }
    return Lease(bytes: bytes, pot: pot, memory: self)
  }
}
