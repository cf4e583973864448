package import Graph
package import TensorTypes
package import Weights

/// What turns plans into something that runs: the CPU, a GPU, or the naive reference.
package protocol Backend: Sendable {
  /// What people see in status and benchmarks, such as `cpu (avx512-vnni, 2 threads)`.
  var name: String { get }

  /// A graph with what this backend adds to it, and a place for every value. Binds nothing: the
  /// formats of the weights are all that is looked at.
  func plan(_ graph: Graph, for weights: WeightStore, activations: ActivationFormat) -> Plan

  /// Bytes that a session of the plan holds for its life: its inputs, and what was worked out for
  /// it beforehand.
  func sessionBytes(of plan: Plan) -> Int

  /// Bytes of the arena that a plan takes while it runs.
  func arenaBytes(of plan: Plan) -> Int

  /// Bytes that binding the weights of these graphs takes beside the mapping.
  func boundBytes(
    of graphs: [Graph], in weights: WeightStore, activations: ActivationFormat
  ) -> Int

  /// Makes weights ready for plans that read them. Each stored tensor is bound once, however many
  /// plans use it, and quantized ones are read in place from the mapping.
  func bind(_ weights: WeightStore, activations: ActivationFormat) -> any BoundWeights

  /// An arena for networks that never run at the same time; it is empty until one does.
  func makeArena() -> any Arena

  /// Lets only `count` threads compute from the next op on. Any thread may call it.
  func limitThreads(to count: Int)
}

extension Backend {
  /// Bytes that running a plan by itself takes beside bound weights.
  package func peakBytes(of plan: Plan) -> Int { sessionBytes(of: plan) + arenaBytes(of: plan) }
}

/// The stored tensors of one network, as a backend keeps them.
package protocol BoundWeights: AnyObject {
  /// Compiles a plan against these weights.
  /// - Parameter arena: Where it runs; one that the same backend made.
  /// - Throws: `ExecutionError.weight` if one is missing, misshapen or malformed;
  ///   `ExecutionError.unsupported` if the backend cannot run an op with these operands;
  ///   `ExecutionError.outOfMemory`.
  func compile(_ plan: Plan, in arena: any Arena) throws(ExecutionError) -> any Executable

  /// Bytes of memory that binding has taken beside the mapping.
  var residentBytes: Int { get }
}

/// The memory that an engine's networks run in, one at a time: as much as the largest that has run
/// needs. It is used by one thread at a time.
package protocol Arena: AnyObject {
  /// Bytes that it holds.
  var byteCount: Int { get }
  /// Runs of any network so far: outputs are those of the last one.
  var runCount: Int { get }
  /// Counts a run that begins.
  func countRun()
  /// Gives its memory back; outputs are lost, and the next run takes what it needs.
  func release()
}

/// A compiled plan and its inputs, as a backend sees them: what `Session` calls.
package protocol Executable: AnyObject {
  var plan: Plan { get }
  var arena: any Arena { get }
  /// Bytes that it holds for its life: what the backend says of the plan.
  var residentBytes: Int { get }
  /// Copies bytes into an input.
  /// - Parameter offset: Bytes from the input's start.
  func write(_ bytes: UnsafeRawBufferPointer, to input: Value, at offset: Int)
  /// Shows the bytes of an input, or of an output that the last run has left.
  func withContents(of value: Value, _ body: (UnsafeRawBufferPointer) -> Void)
  /// Runs every node once.
  func run() throws(ExecutionError)
  /// Likewise, and tells how long each kind of step took, in order of first appearance.
  func profile() throws(ExecutionError) -> [StepTime]
}

/// What the steps of one name took in a run.
package struct StepTime: Sendable {
  package let name: String
  package let count: Int
  package let seconds: Double

  package init(name: String, count: Int, seconds: Double) {
    self.name = name
    self.count = count
    self.seconds = seconds
  }
}

/// Why a plan could not be compiled or run.
package enum ExecutionError: Error, Equatable, CustomStringConvertible {
  case weight(WeightError)
  case unsupported(op: String, reason: String)
  case outOfMemory(OutOfMemory)
  case deviceLost(reason: String)

  package var description: String {
    switch self {
    case .weight(let error): "\(error)"
    case .unsupported(let op, let reason): "\(op) cannot run on this backend: \(reason)"
    case .outOfMemory(let error): "\(error)"
    case .deviceLost(let reason): "the device was lost: \(reason)"
    }
  }
}
