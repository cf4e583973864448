import Synchronization
import Testing

@testable import CPUBackend

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Counts how often each task is performed.
private final class CountingStep: Step {
  let counts: UnsafeMutablePointer<Int>
  let pauseMicroseconds: UInt32

  init(taskCount: Int, pauseMicroseconds: UInt32 = 0) {
    counts = .allocate(capacity: taskCount)
    counts.initialize(repeating: 0, count: taskCount)
    self.pauseMicroseconds = pauseMicroseconds
    super.init("count", taskCount: taskCount)
  }

  deinit { counts.deallocate() }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    if pauseMicroseconds > 0 { usleep(pauseMicroseconds) }
    counts[task] += 1
  }

  var all: [Int] { (0..<taskCount).map { counts[$0] } }
}

@Suite struct WorkerPoolTests {
  /// Counting needs no memory.
  private static var nowhere: Memory {
    let base = UnsafeMutableRawPointer(bitPattern: 64)!
    return Memory(inputs: base, arena: base, workers: base, workerBytes: 0)
  }

  @Test(arguments: [1, 2, 3, 8]) func everyTaskIsPerformedOnce(threads: Int) {
    let pool = WorkerPool(threadCount: threads)
    for taskCount in [0, 1, 2, 7, 100] {
      let step = CountingStep(taskCount: taskCount)
      for _ in 0..<200 { pool.run(step, in: Self.nowhere) }
      #expect(step.all == Array(repeating: 200, count: taskCount))
    }
  }

  @Test func sleepersWakeUp() {
    let pool = WorkerPool(threadCount: 3)
    let step = CountingStep(taskCount: 5, pauseMicroseconds: 300)
    for _ in 0..<20 {
      usleep(2_000)  // longer than threads spin
      pool.run(step, in: Self.nowhere)
    }
    #expect(step.all == [20, 20, 20, 20, 20])
  }

  /// A governed board pays for the threads that it may use, not for waking the others.
  @Test(arguments: [1, 2]) func threadsAboveTheLimitSleep(limit: Int) {
    let pool = WorkerPool(threadCount: 3)
    let step = CountingStep(taskCount: 9)
    pool.limitThreads(to: limit)
    for _ in 0..<10 { pool.run(step, in: Self.nowhere) }
    usleep(20_000)  // longer than threads spin
    let before = processorSeconds(pool.threads[1])
    for _ in 0..<20 {
      for _ in 0..<500 { pool.run(step, in: Self.nowhere) }
      usleep(500)
    }
    #expect(processorSeconds(pool.threads[1]) - before < 0.001)
    pool.limitThreads(to: 3)
    let slow = CountingStep(taskCount: 3, pauseMicroseconds: 5000)
    for _ in 0..<20 { pool.run(slow, in: Self.nowhere) }
    #expect(processorSeconds(pool.threads[1]) > before)
  }

  private func processorSeconds(_ thread: pthread_t) -> Double {
    var clock = clockid_t()
    var time = timespec()
    pthread_getcpuclockid(thread, &clock)
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  @Test func theThreadLimitChangesWhoWorksNotWhatIsDone() {
    let pool = WorkerPool(threadCount: 3)
    let step = CountingStep(taskCount: 9)
    for limit in [1, 3, 2, 0, 99] {
      pool.limitThreads(to: limit)
      for _ in 0..<50 { pool.run(step, in: Self.nowhere) }
    }
    #expect(step.all == Array(repeating: 250, count: 9))
  }

  @Test func splitsCoverEverythingOnce() {
    for total in [0, 1, 15, 16, 17, 100] {
      for parts in [0, 1, 2, 7, 200] {
        for multiple in [1, 4, 16] {
          let split = Split(total, into: parts, multiple: multiple)
          let ranges = (0..<split.count).map(split.range)
          #expect(ranges.flatMap { Array($0) } == Array(0..<total))
          #expect(ranges.allSatisfy { $0.lowerBound % multiple == 0 || $0.isEmpty })
        }
      }
    }
  }
}
