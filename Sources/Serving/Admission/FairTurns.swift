/// Lets work be done in turn: one piece of each key at a time, a few of all together, and next that
/// of the key that has had no turn for longest.
package actor FairTurns<Key: Hashable & Sendable> {
  private struct Waiter {
    /// 0 for one that is never cancelled.
    var number: Int
    /// Told whether it is the waiter's turn, or it need not wait any more.
    var continuation: CheckedContinuation<Bool, Never>
  }

  private let width: Int
  private var running: Set<Key> = []
  private var waiting: [Key: [Waiter]] = [:]
  /// Keys with work that waits, in the order of their turns.
  private var order: [Key] = []
  private var lastNumber = 0

  /// - Parameter width: Pieces of work at a time.
  package init(width: Int) {
    precondition(width > 0)
    self.width = width
  }

  /// Whether it is a key's turn.
  package func running(of key: Key) -> Bool { running.contains(key) }

  /// Pieces of a key that wait.
  package func waiting(of key: Key) -> Int { waiting[key]?.count ?? 0 }

  /// Does `work` when it is the key's turn.
  /// - Parameter cancelled: What to throw when the task is cancelled before that; nil waits all the
  ///   same.
  nonisolated package func run<Value, Failure: Error>(
    for key: Key, cancelled: Failure? = nil, _ work: () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let isTurn = await take(key, isCancellable: cancelled != nil)
    if !isTurn, let cancelled { throw cancelled }
    do throws(Failure) {
      let value = try await work()
      await give(key)
      return value
    } catch {
      await give(key)
      throw error
    }
  }

  /// - Returns: False when it was cancelled instead.
  private func take(_ key: Key, isCancellable: Bool) async -> Bool {
    if running.count < width, !running.contains(key) {
      running.insert(key)
      return true
    }
    guard isCancellable else {
      return await withCheckedContinuation { wait(for: key, $0) }
    }
    lastNumber += 1
    let number = lastNumber
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled { return continuation.resume(returning: false) }
        wait(for: key, number: number, continuation)
      }
    } onCancel: {
      Task { await self.drop(number, of: key) }
    }
  }

  private func wait(
    for key: Key, number: Int = 0, _ continuation: CheckedContinuation<Bool, Never>
  ) {
    if waiting[key] == nil { order.append(key) }
    waiting[key, default: []].append(Waiter(number: number, continuation: continuation))
  }

  private func drop(_ number: Int, of key: Key) {
    guard let index = waiting[key]?.firstIndex(where: { $0.number == number }),
      let waiter = waiting[key]?.remove(at: index)
    else { return }
    if waiting[key]?.isEmpty == true {
      waiting[key] = nil
      order.removeAll { $0 == key }
    }
    waiter.continuation.resume(returning: false)
  }

  private func give(_ key: Key) {
    running.remove(key)
    while running.count < width, let index = order.firstIndex(where: { !running.contains($0) }) {
      let next = order.remove(at: index)
      running.insert(next)
      var others = waiting.removeValue(forKey: next)!
      let first = others.removeFirst()
      if !others.isEmpty {
        waiting[next] = others
        order.append(next)
      }
      first.continuation.resume(returning: true)
    }
  }
}
