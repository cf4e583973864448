package import Diffusion
import Synchronization
package import Weights

/// A peel that jobs can draw with, held open: it stays whole after its removal until the last
/// holder lets go.
package final class InstalledPeel: Sendable {
  package let name: String
  package let sha256: String
  package let content: OpenPeel
  /// The user who alone may draw with it; nil for all.
  package let owner: UInt32?
  private let holders: PeelHolders
  /// The room in memory that it takes.
  private let lease: PeelMemory.Lease?

  package convenience init(name: String, file: PeelFile, owner: UInt32?) {
    self.init(name: name, OpenPeel(file), owner: owner, holders: PeelHolders(), lease: nil)
  }

  /// - Parameter holders: Counts this instance while it lives.
  init(
    name: String, _ content: OpenPeel, owner: UInt32?, holders: PeelHolders,
    lease: PeelMemory.Lease?
  ) {
    self.lease = lease
    self.name = name
    sha256 = content.file.sha256
    self.content = content
    self.owner = owner
    self.holders = holders
    holders.enter()
  }

  deinit {
    holders.leave()
  }
}

/// Equal peels have equal content, whatever they are called.
extension InstalledPeel: Hashable {
  package static func == (a: InstalledPeel, b: InstalledPeel) -> Bool { a.sha256 == b.sha256 }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(sha256)
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
