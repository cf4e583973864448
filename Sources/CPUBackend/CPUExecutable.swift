import CKernels
import Execution
import Graph
import TensorTypes

/// A plan as a list of steps.
final class CPUExecutable: HostExecutable {
  let plan: Plan
  let inputs: HostBuffer
  let hostArena: HostArena
  let residentBytes: Int
  private let weights: CPUWeights
  private let steps: [Step]
  private let arenaBytes: Int
  private let workerBytes: Int

  init(plan: Plan, weights: CPUWeights, arena: HostArena) throws(ExecutionError) {
    var lowering = Lowering(plan: plan, weights: weights)
    for node in plan.graph.nodes { try lowering.lower(node) }
    for step in lowering.steps where step.taskCount > WorkerPool.mostTasks {
      throw .unsupported(op: step.name, reason: "it is too large, \(step.taskCount) tasks")
    }
    self.plan = plan
    self.weights = weights
    steps = lowering.steps
    inputs = try HostBuffer(planned: plan.inputBytes)
    hostArena = arena
    residentBytes = lowering.angles.values.reduce(plan.inputBytes) { $0 + $1.bytes.count }
    arenaBytes = weights.backend.arenaBytes(of: plan)
    workerBytes = CPUBackend.workerBytes(of: plan)
  }

  func run() throws(ExecutionError) {
    let memory = try memory()
    let mode = banana_flush_denormals()
    defer { banana_restore_denormals(mode) }
    let pool = weights.backend.pool
    // By index: without optimization, an array's iterator allocates.
    for index in 0..<steps.count { pool.run(steps[index], in: memory) }
  }

  /// Values first, then each thread's own.
  private func memory() throws(ExecutionError) -> Memory {
    guard let arena = try hostArena.reserve(arenaBytes).baseAddress,
      let inputs = inputs.bytes.baseAddress
    else { preconditionFailure("no memory") }
    return Memory(
      inputs: inputs, arena: arena, workers: arena + plan.arenaBytes, workerBytes: workerBytes)
  }

  func profile() throws(ExecutionError) -> [StepTime] {
    try run()
    let memory = try memory()
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
      return StepTime(name: name, count: total.count, seconds: total.seconds)
    }
  }
}
