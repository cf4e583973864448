@testable import CPUBackend

/// `WorkerPool`'s protocol, one atomic access at a time: what the threads share, and where each of
/// them is. `successors` are the states after any one of them has gone on.
struct PoolModel: Hashable {
  /// A way to get the protocol wrong.
  enum Flaw: CaseIterable {
    /// Finished tasks are set to none only after the step is open.
    case resetsLate
    /// Sleepers are looked for before the step is open.
    case wakesEarly
    /// The caller looks at what is finished before it says that it sleeps.
    case sleepsUnseen
    /// A worker says that it sleeps only after it has looked for tasks.
    case countsLate
  }

  enum Place: UInt8 {
    // The caller.
    case prepare, reset, open, lookForSleepers, lockToWake, wake, unlockAfterWake
    case await, lockToWait, announce, check, waiting, withdraw
    case stop, lockToStop, wakeAll, unlockAfterStop
    // A worker.
    case begin, spin, lockToSleep, countSleeper, checkTicket, asleep, relock, uncountSleeper
    // Either, with a task.
    case look, claim, perform, finish, lockToSignal, signal, unlockAfterSignal
    case done
  }

  struct Thread: Hashable {
    var place: Place
    /// The ticket that it tries to claim a task from.
    var seen = Ticket.none
  }

  /// Tasks of the steps that the caller runs.
  static let steps = [2, 1]

  var ticket = Ticket.none
  var openStep = 0
  var finished: UInt8 = 0
  var sleepers: UInt8 = 0
  var callerSleeps = false
  var isStopping = false
  var holder: Int?
  /// The caller first.
  var threads: [Thread]
  /// How often each task was performed.
  var performed: [[UInt8]] = steps.map { Array(repeating: 0, count: $0) }
  /// What went wrong.
  var failure: String?

  init(workers: Int) {
    threads = [Thread(place: .prepare)] + Array(repeating: Thread(place: .begin), count: workers)
  }

  /// Somebody sleeps although there is a task, and nobody is about to wake it.
  var isSomebodyForgotten: Bool {
    [.look, .claim, .perform, .finish].contains(threads[0].place) && ticket.hasTask
      && threads.contains { $0.place == .asleep }
  }

  var isDone: Bool { threads.allSatisfy { $0.place == .done } }

  private var count: Int { Self.steps[openStep - 1] }

  func successors(_ flaw: Flaw?) -> [PoolModel] {
    threads.indices.flatMap { successors(of: $0, flaw) }
  }

  private func successors(of index: Int, _ flaw: Flaw?) -> [PoolModel] {
    var next = self
    func at(_ place: Place, _ change: (inout PoolModel) -> Void = { _ in }) -> PoolModel {
      var state = next
      state.threads[index].place = place
      change(&state)
      return state
    }
    func locked(_ place: Place) -> [PoolModel] {
      holder == nil ? [at(place) { $0.holder = index }] : []
    }
    func unlocked(_ place: Place) -> [PoolModel] { [at(place) { $0.holder = nil }] }
    switch threads[index].place {
    case .prepare:
      guard openStep < Self.steps.count else { return [at(.stop)] }
      next.openStep += 1
      return [at(flaw == .resetsLate ? .open : flaw == .wakesEarly ? .lookForSleepers : .reset)]
    case .reset:
      next.finished = 0
      return [at(flaw == .resetsLate || flaw == .wakesEarly ? .look : .open)]
    case .open:
      next.ticket = ticket.following(tasks: count)
      return [at(flaw == .wakesEarly ? .reset : .lookForSleepers)]
    case .lookForSleepers:
      let later: Place = flaw == .resetsLate ? .reset : flaw == .wakesEarly ? .open : .look
      return [at(sleepers > 0 ? .lockToWake : later)]
    case .lockToWake: return locked(.wake)
    case .wake:
      next.wakeSleepers()
      return [at(.unlockAfterWake)]
    case .unlockAfterWake:
      return unlocked(flaw == .resetsLate ? .reset : flaw == .wakesEarly ? .open : .look)
    case .await:
      if finished == count { return [at(.prepare)] }
      return [at(.lockToWait)]
    case .lockToWait: return locked(flaw == .sleepsUnseen ? .check : .announce)
    case .announce:
      next.callerSleeps = true
      if flaw == .sleepsUnseen { return unlocked(.waiting) }
      return [at(.check)]
    case .check:
      if finished == count { return [at(.withdraw)] }
      return flaw == .sleepsUnseen && !callerSleeps ? [at(.announce)] : unlocked(.waiting)
    case .waiting: return []
    case .withdraw:
      next.callerSleeps = false
      return unlocked(.prepare)
    case .stop:
      next.isStopping = true
      return [at(.lockToStop)]
    case .lockToStop: return locked(.wakeAll)
    case .wakeAll:
      next.wakeSleepers()
      return [at(.unlockAfterStop)]
    case .unlockAfterStop: return unlocked(.done)
    case .begin: return [at(isStopping ? .done : .look)]
    case .spin:
      // It sees a task, or has spun for long enough.
      return ticket.hasTask ? [at(.begin)] : [at(.lockToSleep)]
    case .lockToSleep: return locked(flaw == .countsLate ? .checkTicket : .countSleeper)
    case .countSleeper:
      next.sleepers += 1
      if flaw == .countsLate { return unlocked(.asleep) }
      return [at(.checkTicket)]
    case .checkTicket:
      if ticket.hasTask || isStopping {
        return flaw == .countsLate ? unlocked(.begin) : [at(.uncountSleeper)]
      }
      return flaw == .countsLate ? [at(.countSleeper)] : unlocked(.asleep)
    case .asleep: return []
    case .relock: return locked(flaw == .countsLate ? .uncountSleeper : .checkTicket)
    case .uncountSleeper:
      next.sleepers -= 1
      return unlocked(.begin)
    case .look: return [at(.claim) { $0.threads[index].seen = ticket }]
    case .claim:
      let seen = threads[index].seen
      guard seen.hasTask else { return [at(index == 0 ? .await : .spin)] }
      if ticket == seen {
        next.ticket = seen.claimed
        return [at(.perform)]
      }
      return [at(.claim) { $0.threads[index].seen = ticket }]
    case .perform:
      next.perform(threads[index].seen)
      return [at(.finish)]
    case .finish:
      next.finished += 1
      let isLast = next.finished == threads[index].seen.taskCount
      // It looks whether the caller sleeps in an access of its own.
      return [at(isLast ? .lockToSignal : index == 0 ? .look : .begin)]
    case .lockToSignal:
      if !callerSleeps { return [at(index == 0 ? .look : .begin)] }
      return locked(.signal)
    case .signal:
      if threads[0].place == .waiting { next.threads[0].place = .lockToWait }
      return [at(.unlockAfterSignal)]
    case .unlockAfterSignal: return unlocked(index == 0 ? .look : .begin)
    case .done: return []
    }
  }

  private mutating func perform(_ seen: Ticket) {
    let task = Int(seen.nextTask)
    guard openStep > 0, task < performed[openStep - 1].count else {
      failure = "a task of no step is performed"
      return
    }
    performed[openStep - 1][task] += 1
    if performed[openStep - 1][task] > 1 { failure = "a task is performed twice" }
  }

  /// They have to take the lock again, and look again.
  private mutating func wakeSleepers() {
    for index in threads.indices where threads[index].place == .asleep {
      threads[index].place = .relock
    }
  }
}
