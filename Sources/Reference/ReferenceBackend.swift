package import Execution
package import Graph
package import TensorTypes
package import Weights

/// The naive interpreter: one thread, dequantized weights, plain loops but for the large products,
/// which OpenBLAS sums in f64. It is what every kernel is compared with, and no program links it.
package struct ReferenceBackend: Backend {
  private let arithmetic: ReferenceArithmetic

  /// - Parameter arithmetic: What sums and functions are computed in; results are f32 either way.
  package init(_ arithmetic: ReferenceArithmetic = .float64) { self.arithmetic = arithmetic }

  package var name: String { "reference" }

  /// Adds nothing: `activations` is ignored, the reference is exact. No place is used twice at a
  /// node, so that plans that do so are compared with one that does not.
  package func plan(
    _ graph: Graph, for weights: WeightStore, activations: ActivationFormat
  ) -> Plan {
    Planner.plan(graph, replaces: false)
  }

  package func sessionBytes(of plan: Plan) -> Int { plan.inputBytes }

  package func arenaBytes(of plan: Plan) -> Int { plan.arenaBytes }

  package func makeArena() -> any Arena { HostArena() }

  /// Every weight in f32.
  package func boundBytes(
    of graphs: [Graph], in weights: WeightStore, activations: ActivationFormat
  ) -> Int {
    Set(graphs.flatMap(\.weights)).reduce(0) { $0 + 4 * $1.shape.count }
  }

  package func bind(
    _ weights: WeightStore, activations: ActivationFormat
  ) -> any BoundWeights {
    ReferenceWeights(weights, arithmetic)
  }

  /// It has only one.
  package func limitThreads(to count: Int) {}
}

private final class ReferenceWeights: BoundWeights {
  private let store: WeightStore
  private let arithmetic: ReferenceArithmetic
  private var tensors: [WeightReference: [Float]] = [:]

  init(_ store: WeightStore, _ arithmetic: ReferenceArithmetic) {
    self.store = store
    self.arithmetic = arithmetic
  }

  var residentBytes: Int { tensors.values.reduce(0) { $0 + 4 * $1.count } }

  func compile(_ plan: Plan, in arena: any Arena) throws(ExecutionError) -> any Executable {
    guard let arena = arena as? HostArena else {
      preconditionFailure("another backend made the arena")
    }
    for reference in plan.graph.weights where tensors[reference] == nil {
      do throws(WeightError) {
        let stored = try store.weight(named: reference.name, logicalShape: reference.shape)
        tensors[reference] = stored.dequantized()
      } catch { throw .weight(error) }
    }
    return try ReferenceExecutable(
      plan: plan, tensors: tensors, arena: arena, arithmetic: arithmetic)
  }
}

private final class ReferenceExecutable: HostExecutable {
  let plan: Plan
  let inputs: HostBuffer
  let hostArena: HostArena
  private let tensors: [WeightReference: [Float]]
  private let arithmetic: ReferenceArithmetic

  init(
    plan: Plan, tensors: [WeightReference: [Float]], arena: HostArena,
    arithmetic: ReferenceArithmetic
  ) throws(ExecutionError) {
    self.plan = plan
    self.tensors = tensors
    self.arithmetic = arithmetic
    inputs = try HostBuffer(planned: plan.inputBytes)
    hostArena = arena
  }

  var residentBytes: Int { plan.inputBytes }

  func run() throws(ExecutionError) {
    let arena = try hostArena.reserve(plan.arenaBytes)
    for node in plan.graph.nodes {
      let operands = node.operands.map { tensor($0, arena) }
      let context = ReferenceContext(
        tensors: tensors, operands: operands, result: tensor(node.result, arena),
        rounded: arithmetic)
      context.evaluate(node.op)
    }
  }

  func profile() throws(ExecutionError) -> [StepTime] {
    try run()
    return []
  }

  private func tensor(_ value: Value, _ arena: UnsafeMutableRawBufferPointer) -> ReferenceTensor {
    let place = plan[value]
    let region = place.region == .inputs ? inputs.bytes : arena
    return ReferenceTensor(
      shape: value.shape, elementType: value.elementType,
      bytes: UnsafeMutableRawBufferPointer(rebasing: region[place.offset..<place.end]))
  }
}

/// A value's elements while the interpreter runs.
struct ReferenceTensor {
  let shape: Shape
  let elementType: ElementType
  let bytes: UnsafeMutableRawBufferPointer

  var floats: UnsafeMutableBufferPointer<Float> { bytes.bindMemory(to: Float.self) }
  var indices: UnsafeMutableBufferPointer<Int32> { bytes.bindMemory(to: Int32.self) }
}

/// What the interpreter computes in.
package enum ReferenceArithmetic: Sendable {
  /// The exact result, rounded once.
  case float64
  /// Every sum, product and function is rounded to f32: what plain code of that precision gives.
  case float32

  func callAsFunction(_ x: Double) -> Double { self == .float64 ? x : Double(Float(x)) }

  /// `a b^T` of a matrix `[rows, inner]` and one `[columns, inner]`, `[rows, columns]`.
  func product(_ a: [Double], _ b: [Double], inner: Int) -> [Double] {
    if self == .float64 { return OpenBLAS.product(a, b, inner: inner) }
    return (0..<a.count / inner).flatMap { row in
      (0..<b.count / inner).map { column in
        (0..<inner).reduce(0) { self($0 + self(a[row * inner + $1] * b[column * inner + $1])) }
      }
    }
  }

  /// `a b` of a matrix `[rows, inner]` and one `[inner, columns]`, `[rows, columns]`.
  func product(_ a: [Double], _ b: [Double], columns: Int) -> [Double] {
    if self == .float64 { return OpenBLAS.product(a, b, columns: columns) }
    let inner = b.count / columns
    return (0..<a.count / inner).flatMap { row in
      (0..<columns).map { column in
        (0..<inner).reduce(0) { self($0 + self(a[row * inner + $1] * b[$1 * columns + column])) }
      }
    }
  }
}

/// What one node reads and writes.
struct ReferenceContext {
  let tensors: [WeightReference: [Float]]
  let operands: [ReferenceTensor]
  let result: ReferenceTensor
  /// What every sum, product and function is put through.
  let rounded: ReferenceArithmetic

  func weight(_ reference: WeightReference) -> [Float] {
    guard let elements = tensors[reference] else {
      preconditionFailure("\(reference.name) was not bound")
    }
    return elements
  }

  func evaluate(_ op: Op) {
    switch op {
    case .parameter(let op): parameter(op)
    case .embedding(let op): embedding(op)
    case .sinusoidal(let op): sinusoidal(op)
    case .linear(let op): linear(op)
    case .matmul: each { product(operands[0], operands[1], at: $0) }
    case .convolution(let op): convolution(op)
    case .patchSum(let op): patchSum(op)
    case .norm(let op): norm(op)
    case .groupNorm(let op): groupNorm(op)
    case .headNorm(let op): headNorm(op)
    case .attention(let op): attention(op)
    case .activation(let function): each { function.value(operands[0].floats[$0], rounded) }
    case .gatedActivation(let op): gated(op)
    case .binary(.add): each { operands[0].floats[$0] + broadcast(operands[1], at: $0) }
    case .binary(.multiply): each { operands[0].floats[$0] * broadcast(operands[1], at: $0) }
    case .scale(let op): scale(op)
    case .slice(let op): slice(op)
    case .concatenation: concatenate()
    case .meanPool: meanPool()
    case .depthToSpace(let op):
      shuffle(coarse: operands[0], fine: result, op.factor) { fine, coarse in
        result.floats[fine] = operands[0].floats[coarse]
      }
    case .spaceToDepth(let op):
      shuffle(coarse: result, fine: operands[0], op.factor) { fine, coarse in
        result.floats[coarse] = operands[0].floats[fine]
      }
    case .fold(let op): fold(op)
    case .reshape: break  // The planner gave both the same place.
    case .quantize(let op): quantize(op)
    }
  }

  /// Writes each element of the result.
  func each(_ element: (Int) -> Float) {
    let floats = result.floats
    for index in 0..<result.shape.count { floats[index] = element(index) }
  }

  /// The element of a `[channel]`, `[batch, channel]` or equal-shaped operand that goes with
  /// element `index` of the result.
  func broadcast(_ operand: ReferenceTensor, at index: Int) -> Float {
    if operand.shape == result.shape { return operand.floats[index] }
    let channel = index % result.shape.last
    guard operand.shape.rank == 2 else { return operand.floats[channel] }
    let batchItem = index / (result.shape.count / result.shape[0])
    return operand.floats[batchItem * result.shape.last + channel]
  }

  /// What linears and convolutions make of a sum.
  func finished(_ sum: Float, at index: Int, _ epilogue: Epilogue) -> Float {
    let update = epilogue.hasUpdate ? product(operands[1], operands[2], at: index) : 0
    var y = epilogue.activation.value(sum + update, rounded)
    if epilogue.hasGate { y *= broadcast(operands[epilogue.gateIndex], at: index) }
    if epilogue.hasResidual { y += operands[operands.count - 1].floats[index] }
    return y
  }
}
