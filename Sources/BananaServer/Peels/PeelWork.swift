import Dispatch
import Execution
import Synchronization

/// Reads, checks, hashes and writes files away from every thread that answers requests: one pot's
/// work in turn, each pot's beside the others', and an account is charged for what its own takes.
final class PeelWork: Sendable {
  private struct Lane {
    let queue = DispatchQueue(label: "banana.peels", qos: .utility)
    var waiting = 0
  }

  private let lanes = Mutex<[PeelPot: Lane]>([:])
  private let charge: @Sendable (Account, _ seconds: Double) async -> Void

  init(charge: @escaping @Sendable (Account, _ seconds: Double) async -> Void) {
    self.charge = charge
  }

  /// Runs `body` when what was there before it is done.
  func run<Value: Sendable>(
    for pot: PeelPot, _ body: @escaping @Sendable () throws(PeelRegistryError) -> Value
  ) async throws(PeelRegistryError) -> Value {
    let (result, seconds) = await withCheckedContinuation {
      (continuation: CheckedContinuation<(Result<Value, PeelRegistryError>, Double), Never>) in
      let queue = lanes.withLock { lanes in
        lanes[pot, default: Lane()].waiting += 1
        return lanes[pot]!.queue
      }
      queue.async {
        let began = ThreadClock.seconds
        let result = Result(catching: body)
        let seconds = ThreadClock.seconds - began
        self.leave(pot)
        continuation.resume(returning: (result, seconds))
      }
    }
    if case .account(let account) = pot { await charge(account, seconds) }
    return try result.get()
  }

  private func leave(_ pot: PeelPot) {
    lanes.withLock { lanes in
      lanes[pot]?.waiting -= 1
      if lanes[pot]?.waiting == 0 { lanes[pot] = nil }
    }
  }
}
