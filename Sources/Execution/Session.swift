import Graph
import TensorTypes

/// A network that is ready to run, with inputs of its own; it runs in an arena that it shares.
///
/// Inputs keep their values over its own runs and those of other networks. Outputs are what the
/// last run of any network in the arena has left, so they are read or copied before the next one.
/// It is used by one thread at a time.
package final class Session {
  /// What its inputs hold, for who would write it again otherwise.
  package var mark: AnyHashable?
  private let executable: any Executable
  private let arena: any Arena
  private let inputs: [String: Value]
  private let outputs: [String: Value]
  /// Which of the arena's runs was the last one of this network.
  private var lastRun = 0

  package init(_ executable: any Executable) {
    self.executable = executable
    arena = executable.arena
    let graph = executable.plan.graph
    inputs = Dictionary(uniqueKeysWithValues: graph.inputs.map { ($0.name, $0.value) })
    outputs = Dictionary(uniqueKeysWithValues: graph.outputs.map { ($0.name, $0.value) })
  }

  package var plan: Plan { executable.plan }

  /// Memory that the session holds for its life, beside bound weights and the arena.
  package var residentBytes: Int { executable.residentBytes }

  /// Copies `elements` into an f32 input.
  /// - Precondition: As many elements as the input has.
  package func write(_ elements: some Collection<Float>, to name: String) {
    let count = value(name, in: inputs).shape.count
    precondition(elements.count == count, "\(name) takes \(count) elements")
    write(elements, to: name, at: 0)
  }

  /// Copies `elements` into a part of an f32 input.
  /// - Parameter first: Where the part begins.
  /// - Precondition: The part is within the input.
  package func write(_ elements: some Collection<Float>, to name: String, at first: Int) {
    store(elements, in: value(name, in: inputs, .float32), at: first)
  }

  /// Copies `indices` into an int32 input.
  /// - Precondition: As many as the input has.
  package func write(indices: some Collection<Int32>, to name: String) {
    let input = value(name, in: inputs, .int32)
    precondition(indices.count == input.shape.count, "\(name) takes \(input.shape.count) indices")
    store(indices, in: input, at: 0)
  }

  /// Copies an f32 output of the network that ran last into an input.
  /// - Parameter first: Where it begins in the input.
  /// - Precondition: It fits, and nothing has run since in the arena of `source`.
  package func copy(_ output: String, of source: Session, to name: String, at first: Int = 0) {
    let input = value(name, in: inputs, .float32)
    let value = source.ready(output)
    precondition(
      first >= 0 && first + value.shape.count <= input.shape.count,
      "\(output) \(value.shape) does not fit \(name) \(input.shape) at \(first)")
    source.executable.withContents(of: value) { [executable] bytes in
      executable.write(
        UnsafeRawBufferPointer(rebasing: bytes[..<(4 * value.shape.count)]), to: input,
        at: 4 * first)
    }
  }

  /// Runs the network on its inputs.
  package func run() throws(ExecutionError) {
    arena.countRun()
    try executable.run()
    lastRun = arena.runCount
  }

  /// Runs once and tells how long each kind of step took, in order of first appearance.
  package func profile() throws(ExecutionError) -> [StepTime] {
    arena.countRun()
    let times = try executable.profile()
    lastRun = arena.runCount
    return times
  }

  /// The elements of an f32 output.
  /// - Precondition: No other network has run since in the arena.
  package func read(_ name: String) -> [Float] {
    withOutput(name) { elements in
      elements.withUnsafeBufferPointer { Array($0) }
    }
  }

  /// Fills `elements` with those of an f32 output.
  /// - Parameter first: The output's element that becomes the first one.
  /// - Precondition: As for `read`, and there are as many.
  package func read(_ name: String, from first: Int = 0, into elements: inout [Float]) {
    let count = elements.count
    withOutput(name) { output in
      precondition(first >= 0 && first + count <= output.count, "\(name) has \(output.count)")
      output.withUnsafeBufferPointer { output in
        elements.withUnsafeMutableBufferPointer {
          _ = $0.update(fromContentsOf: output[first..<first + count])
        }
      }
    }
  }

  /// Looks at the elements of an f32 output where they are.
  /// - Precondition: As for `read`.
  package func withOutput<Result, Failure: Error>(
    _ name: String, _ body: (Span<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let value = ready(name)
    var result: Swift.Result<Result, Failure>?
    executable.withContents(of: value) { bytes in
      let elements = UnsafeBufferPointer(
        rebasing: bytes.bindMemory(to: Float.self)[..<value.shape.count])
      do throws(Failure) { result = .success(try body(elements.span)) } catch {
        result = .failure(error)
      }
    }
    guard let result else { preconditionFailure("\(name) was not shown") }
    return try result.get()
  }

  /// An output that is still there.
  private func ready(_ name: String) -> Value {
    precondition(
      lastRun > 0 && lastRun == arena.runCount,
      "\(name) of \(plan.graph.name) is gone: it has not run, or another network has run since")
    return value(name, in: outputs, .float32)
  }

  private func value(
    _ name: String, in table: [String: Value], _ type: ElementType? = nil
  ) -> Value {
    guard let value = table[name] else {
      preconditionFailure("\(plan.graph.name) has no \"\(name)\"")
    }
    precondition(type == nil || type == value.elementType, "\(name) is of another type")
    return value
  }

  private func store<Element>(
    _ elements: some Collection<Element>, in input: Value, at first: Int
  ) {
    precondition(
      first >= 0 && first + elements.count <= input.shape.count,
      "\(elements.count) elements from \(first) are not within \(input.shape)")
    func store(_ elements: UnsafeBufferPointer<Element>) {
      executable.write(
        UnsafeRawBufferPointer(elements), to: input, at: MemoryLayout<Element>.stride * first)
    }
    if elements.withContiguousStorageIfAvailable(store) == nil {
      Array(elements).withUnsafeBufferPointer(store)
    }
  }
}
