import CPUBackend
import Execution
import Graph
import Reference
import TensorTypes
import Testing
import Weights

/// Runs a graph on random inputs and returns its outputs, one after another.
/// - Parameter ids: int32 inputs are filled with indices below it.
func run(
  _ graph: Graph, _ weights: WeightStore, on backend: any Backend,
  _ activations: ActivationFormat = .float32, ids: Int = 1, runs: Int = 1
) throws -> [[Float]] {
  let bound = backend.bind(weights, activations: activations)
  let plan = backend.plan(graph, for: weights, activations: activations)
  let session = try Session(bound.compile(plan, in: backend.makeArena()))
  var generator = SeededGenerator(state: 7)
  for input in graph.inputs {
    let elements = 0..<input.value.shape.count
    if input.value.elementType == .int32 {
      session.write(
        indices: elements.map { _ in Int32.random(in: 0..<Int32(ids), using: &generator) },
        to: input.name)
    } else if input.name.hasPrefix("mask") {
      session.write(elements.map { $0 % 3 == 2 ? 0 : 1 }, to: input.name)
    } else if input.name.hasPrefix("bias") {
      session.write(elements.map { $0 % 3 == 2 ? -.infinity : 0 }, to: input.name)
    } else {
      session.write(elements.map { _ in generator.float() }, to: input.name)
    }
  }
  for _ in 0..<runs { try session.run() }
  return graph.outputs.map { session.read($0.name) }
}

/// The root mean square of the difference over that of what is expected; infinite for NaN.
func normalizedError(_ found: [Float], _ expected: [Float]) -> Double {
  var (difference, magnitude) = (0.0, 1e-30)
  for (f, e) in zip(found, expected) {
    difference += (Double(f) - Double(e)) * (Double(f) - Double(e))
    magnitude += Double(e) * Double(e)
  }
  let error = (difference / magnitude).squareRoot()
  return error.isNaN || found.count != expected.count ? .infinity : error
}

/// The largest of the errors of several outputs.
func normalizedError(_ found: [[Float]], _ expected: [[Float]]) -> Double {
  if found.count != expected.count { return .infinity }
  return zip(found, expected).map { normalizedError($0, $1) }.max() ?? 0
}

/// Expects every output of every level of the CPU, and of every form of a Vulkan device, to come as
/// close to the exact one as plain code of the same precision, or half as close; on one thread, and
/// on three that share out far smaller tasks. With int8 activations also as close to what the naive
/// form quantizes alike, where only single roundings fall otherwise.
/// - Parameter isCopy: Nothing is computed, so nothing may differ.
func expectAgreement(
  _ graph: Graph, _ weights: WeightStore, _ activations: ActivationFormat = .float32,
  isCopy: Bool = false, ids: Int = 1, _ location: SourceLocation = #_sourceLocation
) throws {
  let exact = try run(graph, weights, on: ReferenceBackend(), ids: ids)
  // Most levels and forms quantize alike, and the naive form takes its time.
  var naiveForms: [Graph: [[Float]]] = [:]
  func naive(_ planned: Graph) throws -> [[Float]] {
    if let found = naiveForms[planned] { return found }
    let outputs = try run(planned, weights, on: ReferenceBackend(.float32), ids: ids)
    naiveForms[planned] = outputs
    return outputs
  }
  func expectCloseness(
    _ found: [[Float]], of backend: any Backend, _ name: String, isRounded: Bool = false
  ) throws {
    let naive = try naive(backend.plan(graph, for: weights, activations: activations).graph)
    for (index, output) in graph.outputs.enumerated() {
      let what = Comment(rawValue: "\(output.name), \(name), \(activations)")
      let error = normalizedError(found[index], exact[index])
      // One rounding is nobody's fault.
      let least = isRounded ? 0x1p-7 : 0x1p-24
      let bound = isCopy ? 0 : 2 * max(normalizedError(naive[index], exact[index]), least)
      #expect(error <= bound, what, sourceLocation: location)
      if activations == .int8 {
        let rounding = normalizedError(found[index], naive[index])
        #expect(rounding <= (isRounded ? 0.03 : 0.002), what, sourceLocation: location)
      }
    }
  }
  for level in CPUBackend.Level.available {
    let one = try run(
      graph, weights, on: CPUBackend(threadCount: 1, level: level), activations, ids: ids)
    let finely = CPUBackend(
      threadCount: 3, level: level, grain: TaskGrain(elements: 32, multiplyAdds: 500))
    let three = try run(graph, weights, on: finely, activations, ids: ids)
    #expect(one == three, "\(level): threads change the result", sourceLocation: location)
    // Attention may round what it multiplies to bf16, as `attentionBesideInt8` tells: it is beside
    // int8 products, which round more.
    let isRounded = activations == .int8 && level == .avx512bf16 && graph.hasAttention
    try expectCloseness(one, of: finely, "\(level)", isRounded: isRounded)
  }
  for form in VulkanForm.all {
    let found = try run(graph, weights, on: form.backend, activations, ids: ids)
    try expectCloseness(found, of: form.backend, form.name)
    let complaints = form.complaints
    #expect(complaints.count == 0, "\(complaints.first)", sourceLocation: location)
  }
}

extension Graph {
  fileprivate var hasAttention: Bool {
    nodes.contains {
      if case .attention = $0.op { true } else { false }
    }
  }
}
