import CKernels
import Dispatch

/// What this machine's cores can do at most, measured with loops that never touch memory.
struct MachinePeak {
  /// GOP/s of int8 dot products on all threads together; a multiply-add counts as two.
  let int8: Double
  /// GFLOP/s of f32 multiply-adds on all threads together.
  let float32: Double

  /// Takes about half a second.
  static func measure(threads: Int) -> MachinePeak {
    let level = banana_level_best()
    return MachinePeak(
      int8: rate(threads: threads) { iterations in
        var sink: Int32 = 0
        return banana_peak_int8(level, iterations, &sink)
      },
      float32: rate(threads: threads) { iterations in
        var sink: Float = 0
        return banana_peak_f32(level, iterations, &sink)
      })
  }

  /// The best of several short rounds, in billions a second.
  private static func rate(
    threads: Int, _ loop: @escaping @Sendable (Int64) -> Double
  ) -> Double {
    let iterations: Int64 = 2_000_000
    let operations = loop(iterations)
    return (0..<5).map { _ in
      let start = ContinuousClock.now
      DispatchQueue.concurrentPerform(iterations: threads) { _ in _ = loop(iterations) }
      return operations * Double(threads) / ((ContinuousClock.now - start) / .seconds(1)) / 1e9
    }.max() ?? 0
  }
}
