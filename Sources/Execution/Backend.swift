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

  /// Bytes that running a plan takes beside bound weights: the arena, and each thread's own.
  func peakBytes(of plan: Plan) -> Int

  /// Bytes that binding the weights of these graphs takes beside the mapping.
  func boundBytes(
    of graphs: [Graph], in weights: WeightStore, activations: ActivationFormat
  ) -> Int

  /// Makes weights ready for plans that read them. Each stored tensor is bound once, however many
  /// plans use it, and quantized ones are read in place from the mapping.
  func bind(_ weights: WeightStore, activations: ActivationFormat) -> any BoundWeights

  /// Lets only `count` threads compute from the next op on. Any thread may call it.
  func limitThreads(to count: Int)
}

/// The stored tensors of one network, as a backend keeps them.
package protocol BoundWeights: AnyObject {
  /// Compiles a plan against these weights.
  /// - Throws: `ExecutionError.weight` if one is missing, misshapen or malformed;
  ///   `ExecutionError.unsupported` if the backend cannot run an op with these operands;
  ///   `ExecutionError.outOfMemory`.
  func compile(_ plan: Plan) throws(ExecutionError) -> any Executable

  /// Bytes of memory that binding has taken beside the mapping.
  var residentBytes: Int { get }
}

/// A plan that can run any number of times. It is used by one thread at a time.
package protocol Executable: AnyObject {
  var plan: Plan { get }
  /// What the backend says of the plan.
  var peakBytes: Int { get }
  /// Runs every node once on the values in `arena`.
  /// - Parameter arena: `plan.arenaBytes` bytes, aligned to 64.
  func run(arena: UnsafeMutableRawBufferPointer) throws(ExecutionError)
}

extension HostBuffer {
  /// Allocates what a plan needs.
  package convenience init(planned byteCount: Int) throws(ExecutionError) {
    do throws(OutOfMemory) { try self.init(allocating: byteCount) } catch {
      throw .outOfMemory(error)
    }
  }
}

/// Why a plan could not be compiled or run.
package enum ExecutionError: Error, CustomStringConvertible {
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
