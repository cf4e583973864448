/// What a share of the full work means for the engine: first the batch shrinks, then threads go,
/// and the pace fills the gaps between whole threads and goes below one.
package struct ThermalLadder: Sendable, Equatable {
  /// The least share of one thread's time, at the full pace, that is left, so that jobs still end.
  static let leastPace = 0.1
  /// The part of the budget, from 1 down, in which the batch shrinks.
  static let batchShare = 0.1

  /// What the engine may use on a cool machine.
  package let full: EngineLimits

  package init(full: EngineLimits) {
    self.full = full
  }

  /// - Parameter budget: Share of the full work, 0...1.
  package func limits(budget: Double) -> EngineLimits {
    let batchShare = full.batch > 1 ? Self.batchShare : 0
    if budget > 1 - batchShare || budget >= 1 {
      let share = batchShare > 0 ? (budget - (1 - batchShare)) / batchShare : 1
      let batch = 1 + Int(share * Double(full.batch - 1) + 1e-9)
      return EngineLimits(
        batch: min(batch, full.batch), threads: full.threads, pace: full.pace)
    }
    // Threads' worth of work, of which whole ones are taken and the last is rationed by the pace
    // of all: fewer threads at a higher pace lose the least to waiting for each other.
    let work = max(budget / (1 - batchShare) * Double(full.threads), Self.leastPace)
    let threads = min(max(Int((work - 1e-9).rounded(.up)), 1), full.threads)
    let pace = min(1, work / Double(threads))
    return EngineLimits(batch: 1, threads: threads, pace: full.pace * pace)
  }
}
