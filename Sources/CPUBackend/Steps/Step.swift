import CKernels

/// One pass over data that threads share out: the unit between two barriers of a run.
///
/// Everything that a step needs is worked out when a plan is compiled; `place` fills in pointers
/// when the arena is known, and `perform` only computes. Tasks write disjoint parts of the result
/// and never split a sum, so the bits do not depend on who performs them.
class Step {
  /// The op's name, for timings.
  let name: String
  let taskCount: Int

  init(_ name: String, taskCount: Int) {
    self.name = name
    self.taskCount = taskCount
  }

  /// Points the step at memory; called when a run's arena differs from the last one's.
  func place(_ memory: Memory) {}

  /// Performs task `task` of `taskCount` on thread `worker` of the pool.
  func perform(task: Int, worker: Int) {}
}

/// The memory of a run.
struct Memory {
  let arena: UnsafeMutableRawPointer
  let scratch: Scratch

  func floats(_ offset: Int) -> UnsafeMutablePointer<Float> {
    (arena + offset).assumingMemoryBound(to: Float.self)
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

/// Elements that one task should at least handle when it only moves them.
let elementsPerTask = 16_384
