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
func normalizedError(_ found: [[Float]], _ expected: [[Float]]) -> Double {
  var (difference, magnitude) = (0.0, 1e-30)
  for (f, e) in zip(found.joined(), expected.joined()) {
    difference += (Double(f) - Double(e)) * (Double(f) - Double(e))
    magnitude += Double(e) * Double(e)
  }
  let error = (difference / magnitude).squareRoot()
  return error.isNaN || found.map(\.count) != expected.map(\.count) ? .infinity : error
}

/// Expects every level to come within `bound` of the reference, on one thread and on three that
/// share out far smaller tasks; with int8 activations also of the reference that quantizes alike,
/// where single roundings may fall otherwise.
func expectAgreement(
  _ graph: Graph, _ weights: WeightStore, _ activations: ActivationFormat = .float32,
  within bound: Double, ids: Int = 1, _ location: SourceLocation = #_sourceLocation
) throws {
  let expected = try run(graph, weights, on: ReferenceBackend(), ids: ids)
  for level in CPUBackend.Level.available {
    let one = try run(
      graph, weights, on: CPUBackend(threadCount: 1, level: level), activations, ids: ids)
    let finely = CPUBackend(
      threadCount: 3, level: level, grain: TaskGrain(elements: 32, multiplyAdds: 500))
    let three = try run(graph, weights, on: finely, activations, ids: ids)
    let error = normalizedError(one, expected)
    #expect(error <= bound, "\(level), \(activations)", sourceLocation: location)
    #expect(one == three, "\(level): threads change the result", sourceLocation: location)
    guard activations == .int8 else { continue }
    let quantized = finely.plan(graph, for: weights, activations: .int8).graph
    let alike = try run(quantized, weights, on: ReferenceBackend(), ids: ids)
    let rounding = normalizedError(one, alike)
    #expect(rounding <= bound / 10, "\(level), quantized alike", sourceLocation: location)
  }
}
