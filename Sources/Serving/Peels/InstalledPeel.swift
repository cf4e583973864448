import Diffusion
import Models
import Synchronization

/// A peel that jobs can draw with, held open: it stays whole after its removal until the last
/// holder lets go.
final class InstalledPeel: Sendable {
  private let name: String
  private let content: OpenPeel
  private let distillation: Distillation?
  private let holders: PeelHolders
  /// The room in memory that it takes.
  private let lease: PeelMemory.Lease?

  /// - Parameter holders: Counts this instance while it lives.
  init(
    name: String, _ content: OpenPeel, distillation: Distillation?, holders: PeelHolders,
    lease: PeelMemory.Lease?
  ) {
    self.name = name
    self.distillation = distillation
    self.content = content
    self.holders = holders
    self.lease = lease
    holders.enter()
  }

  func used(at strength: Float) -> PeelUse {
    PeelUse(content, name: name, strength: strength, distillation: distillation, heldBy: self)
  }

  deinit {
    holders.leave()
  }
}

/// Counts the open instances of one installed peel, and tells when the last one is gone.
package final class PeelHolders: Sendable {
  private struct State {
    var count = 0
    var waiters: [AsyncStream<Void>.Continuation] = []
  }

  private let state = Mutex(State())

  package init() {}

  func enter() {
    state.withLock { $0.count += 1 }
  }

  func leave() {
    let waiters = state.withLock { state in
      state.count -= 1
      guard state.count == 0 else { return [AsyncStream<Void>.Continuation]() }
      defer { state.waiters.removeAll() }
      return state.waiters
    }
    for waiter in waiters { waiter.finish() }
  }

  /// Waits until there is no instance any more; false when there still is one after `timeout`.
  func isFree(within timeout: Duration) async -> Bool {
    let (gone, continuation) = AsyncStream<Void>.makeStream()
    state.withLock { state in
      if state.count == 0 { continuation.finish() } else { state.waiters.append(continuation) }
    }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { for await _ in gone {} }
      group.addTask { try? await Task.sleep(for: timeout) }
      await group.next()
      group.cancelAll()
    }
    return state.withLock { $0.count == 0 }
  }
}
