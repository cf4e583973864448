import Graph
package import TensorTypes

/// An executable with the memory that it runs in. It is used by one thread at a time.
package final class Session {
  package let executable: any Executable
  /// What the executable runs in, for those that run it otherwise than by `run`.
  package let arena: HostBuffer
  /// What its inputs hold, for who would write it again otherwise.
  package var mark: AnyHashable?
  private let inputs: [String: Value]
  private let outputs: [String: Value]

  /// - Throws: `ExecutionError.outOfMemory`.
  package init(_ executable: any Executable) throws(ExecutionError) {
    self.executable = executable
    arena = try HostBuffer(planned: executable.plan.arenaBytes)
    let graph = executable.plan.graph
    inputs = Dictionary(uniqueKeysWithValues: graph.inputs.map { ($0.name, $0.value) })
    outputs = Dictionary(uniqueKeysWithValues: graph.outputs.map { ($0.name, $0.value) })
  }

  /// Memory that the session holds or takes while it runs, beside bound weights.
  package var peakBytes: Int { executable.peakBytes }

  /// An input's f32 elements, to be written before a run; they keep their values over runs.
  package func input(_ name: String) -> UnsafeMutableBufferPointer<Float> {
    memory(of: value(name, in: inputs), as: Float.self)
  }

  /// An input's int32 elements.
  package func indices(_ name: String) -> UnsafeMutableBufferPointer<Int32> {
    memory(of: value(name, in: inputs), as: Int32.self)
  }

  /// An output's f32 elements, as the last run left them, until the next run.
  package func output(_ name: String) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(memory(of: value(name, in: outputs), as: Float.self))
  }

  /// Copies `elements` into an input.
  /// - Precondition: As many elements as the input has.
  package func write(_ elements: some Collection<Float>, to name: String) {
    let target = input(name)
    precondition(elements.count == target.count, "\(name) takes \(target.count) elements")
    _ = target.update(fromContentsOf: elements)
  }

  package func run() throws(ExecutionError) { try executable.run(arena: arena.bytes) }

  private func value(_ name: String, in table: [String: Value]) -> Value {
    guard let value = table[name] else {
      preconditionFailure("\(executable.plan.graph.name) has no \"\(name)\"")
    }
    return value
  }

  private func memory<Element>(
    of value: Value, as type: Element.Type
  ) -> UnsafeMutableBufferPointer<Element> {
    precondition((Element.self == Int32.self) == (value.elementType == .int32))
    let place = executable.plan[value]
    let bytes = UnsafeMutableRawBufferPointer(rebasing: arena.bytes[place.offset..<place.end])
    return UnsafeMutableBufferPointer(rebasing: bytes.bindMemory(to: type)[..<value.shape.count])
  }
}
