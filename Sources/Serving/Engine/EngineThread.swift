import Dispatch

/// The thread that computes: all engines share it, so that they never compute at once.
package final class EngineThread: SerialExecutor {
  private let queue = DispatchQueue(label: "banana.engine", qos: .userInitiated)

  package init() {}

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedSerialExecutor()
    queue.async { job.runSynchronously(on: executor) }
  }
}
