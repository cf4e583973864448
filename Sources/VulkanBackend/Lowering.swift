import Execution
import Graph
import TensorTypes

/// Turns the nodes of a plan into dispatches; how is said in one file for each op.
struct Lowering {
  let plan: Plan
  let weights: VulkanWeights
  private(set) var steps: [Step] = []
  private var tables: [ConstantTable: DeviceSlice] = [:]

  init(plan: Plan, weights: VulkanWeights) throws(ExecutionError) {
    self.plan = plan
    self.weights = weights
    for table in ConstantTable.tables(of: plan) {
      let elements = table.elements
      let slice = try weights.device.memory.allocate(4 * elements.count)
      try weights.device.upload(4 * elements.count, to: slice) { target in
        elements.withUnsafeBytes { target.copyMemory(from: $0) }
      }
      tables[table] = slice
    }
  }

  var form: DeviceForm { weights.device.form }

  /// A value that a shader reads.
  func read(_ value: Value) -> Operand { .read(plan[value]) }

  /// A value that it writes.
  func write(_ value: Value) -> Operand { .write(plan[value]) }

  /// The table that a node needs.
  func table(of node: Node) -> Operand {
    guard let table = ConstantTable(node), let slice = tables[table] else {
      preconditionFailure("\(node.op.payload.name) has no table")
    }
    return .stored(slice, offset: 0, byteCount: 4 * table.count)
  }

  func vector(_ reference: WeightReference?) throws(ExecutionError) -> Operand {
    guard let reference else { return .absent }
    return try weights.vector(reference)
  }

  mutating func append(_ step: Step) { steps.append(step) }

  /// A dispatch with an invocation for each of `count` elements.
  mutating func append(
    _ name: String, _ shader: ShaderCode, constants: [UInt32] = [], _ operands: [Operand],
    count: Int, _ arguments: [UInt32]
  ) {
    append(
      Step(
        name, shader, constants: constants, operands, [UInt32(count)] + arguments,
        groups: (count + ShaderCode.groupSize - 1) / ShaderCode.groupSize))
  }

  mutating func lower(_ node: Node) throws(ExecutionError) {
    for value in node.operands + [node.result] { try check(value, node) }
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
    case .attention(let op): try lower(op, node)
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
    case .quantize(let op): lower(op, node)
    case .reshape: break  // The planner gave both the same place.
    }
  }

  /// A shader sees only so much of a buffer.
  private func check(_ value: Value, _ node: Node) throws(ExecutionError) {
    let most = form.bufferRangeBytes - DeviceHeap.alignment
    guard plan[value].byteCount > most else { return }
    throw .unsupported(
      op: node.op.payload.name,
      reason: "a value takes \(plan[value].byteCount) bytes, and a shader sees \(most)")
  }
}

extension Activation {
  /// What `include/functions.glsl` calls it.
  var code: UInt32 {
    switch self {
    case .none: 0
    case .silu: 1
    case .gelu: 2
    case .quickGELU: 3
    case .relu: 4
    case .tanh: 5
    }
  }
}
