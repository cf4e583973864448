/// Lets work be done in turn: one piece of each key at a time, a few of all together, and next that
/// of the key that has had no turn for longest.
package actor FairTurns<Key: Hashable & Sendable> {
  private let width: Int
  private var running: Set<Key> = []
  private var waiting: [Key: [CheckedContinuation<Void, Never>]] = [:]
  /// Keys with work that waits, in the order of their turns.
  private var order: [Key] = []

  /// - Parameter width: Pieces of work at a time.
  package init(width: Int) {
    precondition(width > 0)
    self.width = width
  }

  /// Does `work` when it is the key's turn.
  nonisolated package func run<Value, Failure: Error>(
    for key: Key, _ work: () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    await take(key)
    do throws(Failure) {
      let value = try await work()
      await give(key)
      return value
    } catch {
      await give(key)
      throw error
    }
  }

  private func take(_ key: Key) async {
    if running.count < width, !running.contains(key) {
      running.insert(key)
      return
    }
    if waiting[key] == nil { order.append(key) }
    await withCheckedContinuation { waiting[key, default: []].append($0) }
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
      first.resume()
    }
  }
}
