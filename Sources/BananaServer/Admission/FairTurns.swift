/// Lets work that no quota measures be done in turn: one piece of each account at a time, a few of
/// all together, and next whoever has had no turn for longest.
package actor FairTurns {
  private let width: Int
  private var running: Set<Account> = []
  private var waiting: [Account: [CheckedContinuation<Void, Never>]] = [:]
  /// Accounts with work that waits, in the order of their turns.
  private var order: [Account] = []

  /// - Parameter width: Pieces of work at a time.
  package init(width: Int) {
    precondition(width > 0)
    self.width = width
  }

  /// Does `work` when it is the account's turn.
  nonisolated package func run<Value>(
    for account: Account, _ work: () async throws -> Value
  ) async rethrows -> Value {
    await take(account)
    do {
      let value = try await work()
      await give(account)
      return value
    } catch {
      await give(account)
      throw error
    }
  }

  private func take(_ account: Account) async {
    if running.count < width, !running.contains(account) {
      running.insert(account)
      return
    }
    if waiting[account] == nil { order.append(account) }
    await withCheckedContinuation { waiting[account, default: []].append($0) }
  }

  private func give(_ account: Account) {
    running.remove(account)
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
