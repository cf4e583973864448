import CKernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A fixed set of threads that share out the tasks of one step at a time.
///
/// The caller works too. Waiting threads spin for tens of microseconds, which bridges the gaps
/// between the steps of a run, and then sleep, so that an idle or a crowded machine is left alone.
/// Nothing is allocated by a run.
package final class WorkerPool: Sendable {
  /// Threads, the caller's included; fewer than were asked for where the system has no more.
  package let threadCount: Int
  /// The most tasks that a step may have.
  static let mostTasks = Int(Ticket.mostTasks)
  private let state: PoolState
  /// Those of the pool's own.
  let threads: [pthread_t]

  /// - Parameter threadCount: At least 1; 1 starts no thread.
  package init(threadCount: Int) {
    precondition(threadCount >= 1, "a pool needs a thread")
    let state = PoolState(activeThreads: threadCount)
    self.state = state
    var threads: [pthread_t] = []
    while threads.count + 1 < threadCount,
      let thread = startThread(state, index: threads.count + 1)
    {
      threads.append(thread)
    }
    self.threads = threads
    self.threadCount = threads.count + 1
    state.limitThreads(to: threads.count + 1)
  }

  deinit {
    state.stop()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Lets only the first `count` threads take tasks from the next step on; the others sleep.
  package func limitThreads(to count: Int) {
    state.limitThreads(to: max(1, min(count, threadCount)))
  }

  /// Performs every task of a step and returns when all are done. One caller at a time.
  func run(_ step: Step, in memory: Memory) {
    if state.activeThreads.load(ordering: .relaxed) == 1 || step.taskCount == 1 {
      for task in 0..<step.taskCount { step.perform(task: task, worker: 0, in: memory) }
    } else if step.taskCount > 0 {
      state.run(step, in: memory)
    }
  }
}

/// Nil when the system, or the service's limit, has no thread left.
private func startThread(_ state: PoolState, index: Int) -> pthread_t? {
  let start = Unmanaged.passRetained(ThreadStart(state: state, index: index))
  var thread = pthread_t()
  let code = pthread_create(
    &thread, nil,
    { raw in
      let start = Unmanaged<ThreadStart>.fromOpaque(raw!).takeRetainedValue()
      _ = banana_flush_denormals()
      start.state.work(as: start.index)
      return nil
    }, start.toOpaque())
  guard code == 0 else {
    start.release()
    return nil
  }
  return thread
}

private final class ThreadStart {
  let state: PoolState
  let index: Int

  init(state: PoolState, index: Int) {
    self.state = state
    self.index = index
  }
}

/// What the threads share. Unchecked: `step` and `memory` are written only while no task is open,
/// and read only by holders of a task.
private final class PoolState: @unchecked Sendable {
  /// A `Ticket`.
  private let ticket = Atomic<UInt64>(Ticket.none.word)
  private let finishedTasks = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)
  let activeThreads: Atomic<Int>
  private var step: Unmanaged<Step>?
  private var memory: Memory?

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let workArrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let workFinished = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let limitRaised = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// About 40 microseconds of pauses.
  private static let spins = 2_000

  init(activeThreads: Int) {
    self.activeThreads = Atomic(activeThreads)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(workArrived, nil)
    pthread_cond_init(workFinished, nil)
    pthread_cond_init(limitRaised, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(workArrived)
    pthread_cond_destroy(workFinished)
    pthread_cond_destroy(limitRaised)
    mutex.deallocate()
    workArrived.deallocate()
    workFinished.deallocate()
    limitRaised.deallocate()
  }

  func stop() {
    isStopping.store(true, ordering: .sequentiallyConsistent)
    wake(workArrived)
    wake(limitRaised)
  }

  func limitThreads(to count: Int) {
    let before = activeThreads.exchange(count, ordering: .sequentiallyConsistent)
    if count > before { wake(limitRaised) }
  }

  func run(_ step: Step, in memory: Memory) {
    let opened = Ticket(word: ticket.load(ordering: .relaxed)).following(tasks: step.taskCount)
    self.step = Unmanaged.passUnretained(step)
    self.memory = memory
    finishedTasks.store(0, ordering: .relaxed)
    ticket.store(opened.word, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wake(workArrived) }
    while performTask(as: 0) {}
    waitForWorkers(count: step.taskCount)
  }

  func work(as index: Int) {
    while !isStopping.load(ordering: .relaxed) {
      if performTask(as: index) { continue }
      if !spin(until: { self.hasTask(for: index) }) { sleep(as: index) }
    }
  }

  /// Performs one open task, if there is one.
  private func performTask(as index: Int) -> Bool {
    guard index < activeThreads.load(ordering: .relaxed) else { return false }
    var seen = Ticket(word: ticket.load(ordering: .acquiring))
    while true {
      guard seen.hasTask else { return false }
      let (exchanged, original) = ticket.compareExchange(
        expected: seen.word, desired: seen.claimed.word, ordering: .acquiringAndReleasing)
      guard exchanged else {
        seen = Ticket(word: original)
        continue
      }
      if let step, let memory {
        step._withUnsafeGuaranteedRef {
          $0.perform(task: Int(seen.nextTask), worker: index, in: memory)
        }
      }
      finishTask(of: Int(seen.taskCount))
      return true
    }
  }

  private func finishTask(of count: Int) {
    let finished = finishedTasks.add(1, ordering: .sequentiallyConsistent).newValue
    guard finished == count, callerSleeps.load(ordering: .sequentiallyConsistent) else { return }
    pthread_mutex_lock(mutex)
    pthread_cond_signal(workFinished)
    pthread_mutex_unlock(mutex)
  }

  private func waitForWorkers(count: Int) {
    if spin(until: { self.finishedTasks.load(ordering: .acquiring) == count }) { return }
    pthread_mutex_lock(mutex)
    callerSleeps.store(true, ordering: .sequentiallyConsistent)
    while finishedTasks.load(ordering: .sequentiallyConsistent) != count {
      pthread_cond_wait(workFinished, mutex)
    }
    callerSleeps.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  private func hasTask(for index: Int) -> Bool {
    Ticket(word: ticket.load(ordering: .sequentiallyConsistent)).hasTask && isActive(index)
  }

  private func spin(until condition: () -> Bool) -> Bool {
    for _ in 0..<Self.spins {
      if condition() { return true }
      banana_spin_hint()
    }
    return false
  }

  /// Those above the limit sleep apart: the work of the others need not wake them.
  private func sleep(as index: Int) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !isActive(index), !isStopping.load(ordering: .sequentiallyConsistent) {
      pthread_cond_wait(limitRaised, mutex)
    }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while isActive(index), !hasTask(for: index),
      !isStopping.load(ordering: .sequentiallyConsistent)
    {
      pthread_cond_wait(workArrived, mutex)
    }
    sleepers.subtract(1, ordering: .relaxed)
  }

  private func isActive(_ index: Int) -> Bool {
    index < activeThreads.load(ordering: .sequentiallyConsistent)
  }

  private func wake(_ condition: UnsafeMutablePointer<pthread_cond_t>) {
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
  }
}
