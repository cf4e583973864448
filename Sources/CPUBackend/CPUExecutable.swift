import CKernels
package import Execution
import Graph

/// A plan as a list of steps.
package final class CPUExecutable: Executable {
  package let plan: Plan
  private let weights: CPUWeights
  private let steps: [Step]
  private let scratch: Scratch
  private var placedArena: UnsafeMutableRawPointer?

  init(plan: Plan, weights: CPUWeights) throws(ExecutionError) {
    var lowering = Lowering(plan: plan, weights: weights)
    for node in plan.graph.nodes { try lowering.lower(node) }
    for step in lowering.steps where step.taskCount > WorkerPool.mostTasks {
      throw .unsupported(op: step.name, reason: "it is too large, \(step.taskCount) tasks")
    }
    self.plan = plan
    self.weights = weights
    steps = lowering.steps
    scratch = try Scratch(lowering.needs, threadCount: weights.backend.threadCount)
  }

  package var peakBytes: Int { plan.arenaBytes + scratch.byteCount }

  package func run(arena: UnsafeMutableRawBufferPointer) throws(ExecutionError) {
    precondition(arena.count >= plan.arenaBytes, "an arena of \(arena.count) bytes is too small")
    guard let base = arena.baseAddress else { return }
    if base != placedArena {
      for step in steps { step.place(Memory(arena: base, scratch: scratch)) }
      placedArena = base
    }
    let mode = banana_flush_denormals()
    defer { banana_restore_denormals(mode) }
    let pool = weights.backend.pool
    // By index: without optimization, an array's iterator allocates.
    for index in 0..<steps.count { pool.run(steps[index]) }
  }

  /// Runs once and tells how long each kind of step took, in order of first appearance.
  /// - Parameter arena: As for `run`.
  package func profile(
    arena: UnsafeMutableRawBufferPointer
  ) throws(ExecutionError) -> [(step: String, count: Int, seconds: Double)] {
    try run(arena: arena)
    let clock = ContinuousClock()
    var order: [String] = []
    var totals: [String: (count: Int, seconds: Double)] = [:]
    for step in steps {
      let start = clock.now
      weights.backend.pool.run(step)
      let seconds = start.duration(to: clock.now) / .seconds(1)
      if totals[step.name] == nil { order.append(step.name) }
      totals[step.name, default: (0, 0)].count += 1
      totals[step.name, default: (0, 0)].seconds += seconds
    }
    return order.map { name in
      let total = totals[name] ?? (0, 0)
      return (name, total.count, total.seconds)
    }
  }
}
