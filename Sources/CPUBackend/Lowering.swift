import CKernels
import Execution
import Graph
import TensorTypes

/// Turns the nodes of a plan into steps; how is said in one file for each op.
struct Lowering {
  let plan: Plan
  let weights: CPUWeights
  private(set) var steps: [Step] = []
  /// What rotary embeddings need, once for all steps that turn alike.
  var angles: [AngleTable: HostBuffer] = [:]

  init(plan: Plan, weights: CPUWeights) {
    self.plan = plan
    self.weights = weights
  }

  var kernels: UnsafePointer<banana_kernels> { weights.backend.kernels }
  var grain: TaskGrain { weights.backend.grain }

  func place(_ value: Value) -> Place { plan[value] }

  mutating func append(_ step: Step) { steps.append(step) }

  mutating func lower(_ node: Node) throws(ExecutionError) {
    switch node.op {
    case .parameter(let op): try lower(op, node)
    case .embedding(let op): try lower(op, node)
    case .sinusoidal(let op): lower(op, node)
    case .linear(let op): try lower(op, node)
    case .matmul(let op): lower(op, node)
    case .convolution(let op): try lower(op, node)
    case .patchSum(let op): lower(op, node)
    case .norm(let op): try lower(op, node)
    case .groupNorm(let op): try lower(op, node)
    case .headNorm(let op): try lower(op, node)
    case .attention(let op): lower(op, node)
    case .activation(let op): lower(op, node)
    case .gatedActivation(let op): lower(op, node)
    case .binary(let op): lower(op, node)
    case .scale(let op): lower(op, node)
    case .slice(let op): lower(op, node)
    case .concatenation(let op): lower(op, node)
    case .meanPool(let op): lower(op, node)
    case .depthToSpace(let op): lower(op, node)
    case .spaceToDepth(let op): lower(op, node)
    case .fold(let op): lower(op, node)
    case .quantize(let op): try lower(op, node)
    case .reshape: break  // The planner gave both the same place.
    }
  }
}

extension Node {
  /// Bytes that each thread needs of its own.
  func workerBytes(in plan: Plan) -> Int {
    switch op {
    case .attention(let op): op.workerBytes(self, isPacked: plan.sharedPlaces[result] != nil)
    case .convolution(let op): op.workerBytes(self)
    case .groupNorm(let op): op.workerBytes(self)
    case .parameter, .embedding, .sinusoidal, .linear, .matmul, .norm, .headNorm, .activation,
      .gatedActivation, .binary, .scale, .slice, .concatenation, .meanPool, .depthToSpace,
      .spaceToDepth, .fold, .quantize, .reshape, .patchSum:
      0
    }
  }

  /// Bytes that all threads need together, from the node's first step to its last.
  var sharedBytes: Int {
    switch op {
    case .groupNorm(let op): op.sharedBytes(self)
    case .parameter, .embedding, .sinusoidal, .linear, .matmul, .convolution, .norm, .headNorm,
      .attention, .activation, .gatedActivation, .binary, .scale, .slice, .concatenation,
      .meanPool, .depthToSpace, .spaceToDepth, .fold, .quantize, .reshape, .patchSum:
      0
    }
  }
}
