import Dispatch
import Synchronization

/// Reads, checks, hashes and writes files away from every thread that answers requests: one pot's
/// work in turn, each pot's beside the others'.
final class PeelWork: Sendable {
  private struct Lane {
    let queue = DispatchQueue(label: "banana.peels", qos: .utility)
    var waiting = 0
  }

  private let lanes = Mutex<[PeelPot: Lane]>([:])

  /// Runs `body` when what was there before it is done.
  func run<Value: Sendable>(
    for pot: PeelPot, _ body: @escaping @Sendable () throws(PeelRegistryError) -> Value
  ) async throws(PeelRegistryError) -> Value {
    let result: Result<Value, PeelRegistryError> = await withCheckedContinuation { continuation in
      let queue = lanes.withLock { lanes in
        lanes[pot, default: Lane()].waiting += 1
        return lanes[pot]!.queue
      }
      queue.async {
        let result = Result(catching: body)
        self.leave(pot)
        continuation.resume(returning: result)
      }
    }
    return try result.get()
  }

  private func leave(_ pot: PeelPot) {
    lanes.withLock { lanes in
      lanes[pot]?.waiting -= 1
      if lanes[pot]?.waiting == 0 { lanes[pot] = nil }
    }
  }
}
