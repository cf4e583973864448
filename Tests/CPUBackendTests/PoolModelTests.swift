import Testing

@testable import CPUBackend

/// Every interleaving of a caller and its workers over two steps and the end of the pool.
@Suite struct PoolModelTests {
  /// What goes wrong in some interleaving; nil if nothing does.
  private func explore(workers: Int, _ flaw: PoolModel.Flaw? = nil) -> (failure: String?, Int) {
    var seen: Set<PoolModel> = []
    var open = [PoolModel(workers: workers)]
    while let state = open.popLast() {
      guard seen.insert(state).inserted else { continue }
      if let failure = state.failure { return (failure, seen.count) }
      if state.isSomebodyForgotten { return ("a sleeper is not woken", seen.count) }
      let successors = state.successors(flaw)
      if successors.isEmpty {
        guard state.isDone else { return ("everybody waits", seen.count) }
        guard state.performed.joined().allSatisfy({ $0 == 1 }) else {
          return ("a task is left out", seen.count)
        }
      }
      open += successors
    }
    return (nil, seen.count)
  }

  @Test(arguments: [1, 2]) func everyTaskIsPerformedOnceAndAllWakeUp(workers: Int) {
    let (failure, states) = explore(workers: workers)
    #expect(failure == nil)
    #expect(states > 500)
  }

  /// The exploration would see what it is there for.
  @Test(arguments: PoolModel.Flaw.allCases) func flawsAreFound(flaw: PoolModel.Flaw) {
    #expect([1, 2].contains { explore(workers: $0, flaw).failure != nil })
  }
}
