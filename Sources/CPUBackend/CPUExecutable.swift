import CKernels
package import Execution
import Graph
import TensorTypes

/// A plan as a list of steps.
package final class CPUExecutable: Executable {
  package let plan: Plan
  private let weights: CPUWeights
  private let steps: [Step]
  /// Each thread's own memory, one after another.
  private let workers: HostBuffer
  private let workerBytes: Int

  init(plan: Plan, weights: CPUWeights) throws(ExecutionError) {
    var lowering = Lowering(plan: plan, weights: weights)
    for node in plan.graph.nodes { try lowering.lower(node) }
    for step in lowering.steps where step.taskCount > WorkerPool.mostTasks {
      throw .unsupported(op: step.name, reason: "it is too large, \(step.taskCount) tasks")
    }
    self.plan = plan
    self.weights = weights
    steps = lowering.steps
    workerBytes = CPUBackend.workerBytes(of: plan)
    workers = try HostBuffer(planned: workerBytes * weights.backend.threadCount)
  }

  package var peakBytes: Int { weights.backend.peakBytes(of: plan) }

  package func run(arena: UnsafeMutableRawBufferPointer) throws(ExecutionError) {
    let memory = memory(in: arena)
    let mode = banana_flush_denormals()
    defer { banana_restore_denormals(mode) }
    let pool = weights.backend.pool
    // By index: without optimization, an array's iterator allocates.
    for index in 0..<steps.count { pool.run(steps[index], in: memory) }
  }

  private func memory(in arena: UnsafeMutableRawBufferPointer) -> Memory {
    guard let base = arena.baseAddress, let own = workers.bytes.baseAddress,
      arena.count >= plan.arenaBytes
    else { preconditionFailure("an arena of \(arena.count) bytes is too small") }
    return Memory(arena: base, workers: own, workerBytes: workerBytes)
  }

  /// Runs once and tells how long each kind of step took, in order of first appearance.
  /// - Parameter arena: As for `run`.
  package func profile(
    arena: UnsafeMutableRawBufferPointer
  ) throws(ExecutionError) -> [(step: String, count: Int, seconds: Double)] {
    try run(arena: arena)
    let memory = memory(in: arena)
    let clock = ContinuousClock()
    var order: [String] = []
    var totals: [String: (count: Int, seconds: Double)] = [:]
    for step in steps {
      let start = clock.now
      weights.backend.pool.run(step, in: memory)
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
