import CKernels
import Execution

/// One pass over data that threads share out: the unit between two barriers of a run.
///
/// Everything that a step needs is worked out when a plan is compiled, and nothing changes
/// afterwards: `perform` is told where memory is. Tasks write disjoint parts of the result and
/// never split a sum, so the bits do not depend on who performs them.
class Step {
  /// The op's name, for timings.
  let name: String
  let taskCount: Int

  init(_ name: String, taskCount: Int) {
    self.name = name
    self.taskCount = taskCount
  }

  /// Performs task `task` of `taskCount` on thread `worker` of the pool.
  func perform(task: Int, worker: Int, in memory: Memory) {}
}

/// The memory of a run.
struct Memory {
  let inputs: UnsafeMutableRawPointer
  let arena: UnsafeMutableRawPointer
  /// Each thread's own, one after another.
  let workers: UnsafeMutableRawPointer
  let workerBytes: Int

  private func start(of place: Place) -> UnsafeMutableRawPointer {
    switch place.region {
    case .inputs: inputs + place.offset
    case .arena: arena + place.offset
    }
  }

  func floats(_ place: Place) -> UnsafeMutablePointer<Float> {
    start(of: place).assumingMemoryBound(to: Float.self)
  }

  /// Nil for what is not there.
  func floats(_ place: Place?) -> UnsafePointer<Float>? {
    guard let place else { return nil }
    return UnsafePointer(floats(place))
  }

  func bytes(_ place: Place) -> UnsafeMutablePointer<UInt8> {
    start(of: place).assumingMemoryBound(to: UInt8.self)
  }

  func integers(_ place: Place) -> UnsafeMutablePointer<Int32> {
    start(of: place).assumingMemoryBound(to: Int32.self)
  }

  func worker(_ index: Int) -> UnsafeMutableRawPointer { workers + index * workerBytes }
}

/// How much work is worth handing to another thread.
package struct TaskGrain: Sendable {
  /// Elements that are only moved.
  package var elements: Int
  /// Of a matrix product.
  package var multiplyAdds: Int

  package init(elements: Int = 16_384, multiplyAdds: Int = 2_000_000) {
    self.elements = elements
    self.multiplyAdds = multiplyAdds
  }
}

/// A range of `total` things cut into `count` nearly equal parts.
struct Split {
  let total: Int
  let count: Int

  /// - Parameter multiple: Parts start at multiples of it.
  init(_ total: Int, into parts: Int, multiple: Int = 1) {
    let units = (total + multiple - 1) / multiple
    self.total = total
    self.multiple = multiple
    count = max(1, min(parts, units))
  }

  private let multiple: Int

  func range(_ part: Int) -> Range<Int> {
    let units = (total + multiple - 1) / multiple
    let start = units * part / count * multiple
    return start..<min(total, units * (part + 1) / count * multiple)
  }
}
