/// What a share of the full work means for the engine: first the batch shrinks, then threads go,
/// and the pace fills the gaps between whole threads and goes below one.
package struct ThermalLadder: Sendable, Equatable {
  /// The least share of one thread's time that is left, so that jobs still end.
  static let leastPace = 0.1
  /// The part of the budget, from 1 down, in which the batch shrinks.
  static let batchShare = 0.1

  /// Pictures in one pass on a cool machine.
  package let mostBatch: Int
  /// Threads on a cool machine.
  package let mostThreads: Int

  package init(mostBatch: Int, mostThreads: Int) {
    precondition(mostBatch >= 1 && mostThreads >= 1)
    self.mostBatch = mostBatch
    self.mostThreads = mostThreads
  }

  package var full: EngineLimits { limits(budget: 1) }

  /// - Parameter budget: Share of the full work, 0...1.
  package func limits(budget: Double) -> EngineLimits {
    let batchShare = mostBatch > 1 ? Self.batchShare : 0
    if budget > 1 - batchShare || budget >= 1 {
      let share = batchShare > 0 ? (budget - (1 - batchShare)) / batchShare : 1
      let batch = 1 + Int(share * Double(mostBatch - 1) + 1e-9)
      return EngineLimits(batch: min(batch, mostBatch), threads: mostThreads, pace: 1)
    }
    // Threads' worth of work, of which whole ones are taken and the last is rationed by the pace
    // of all: fewer threads at a higher pace lose the least to waiting for each other.
    let work = max(budget / (1 - batchShare) * Double(mostThreads), Self.leastPace)
    let threads = min(max(Int((work - 1e-9).rounded(.up)), 1), mostThreads)
    return EngineLimits(batch: 1, threads: threads, pace: min(1, work / Double(threads)))
  }
}
