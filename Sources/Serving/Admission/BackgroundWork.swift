import Dispatch
import Execution

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Work for users that no quota measures, beside the engine's: decoding pictures, reading large
/// bodies, receiving, hashing, checking and writing peels.
///
/// It is done in turn: one piece of each owner at a time, a few of all together, next whoever has
/// had no turn for longest. Each piece has a thread of its own, so that one that waits for the disk
/// keeps nobody else's from going on, and these threads step back behind all others of the daemon.
/// So a piece must hold no lock that others wait for: what looks something up, or notes that it is
/// done, does so in the turn and outside of the piece.
package struct BackgroundWork<Owner: Hashable & Sendable>: Sendable {
  /// Told of the processor time that a piece took.
  package typealias Charge = @Sendable (Owner, _ seconds: Double) async -> Void

  private let turns: FairTurns<Owner>
  private let charge: Charge

  /// - Parameter width: Pieces of work at a time.
  package init(width: Int, charge: @escaping Charge) {
    turns = FairTurns(width: width)
    self.charge = charge
  }

  /// Does one piece when it is the owner's turn.
  package func run<Value: Sendable, Failure: Error>(
    for owner: Owner, _ piece: @escaping @Sendable () throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    try await inTurn(of: owner) { (turn) async throws(Failure) in try await turn.run(piece) }
  }

  /// Does `work` when it is the owner's turn; the pieces of it that take their time go to `run`.
  /// - Parameter cancelled: What to throw when the task is cancelled before that; nil waits all the
  ///   same.
  package func inTurn<Value, Failure: Error>(
    of owner: Owner, cancelled: Failure? = nil, _ work: (Turn) async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    try await turns.run(for: owner, cancelled: cancelled) { () async throws(Failure) in
      try await work(Turn(owner: owner, charge: charge))
    }
  }

  /// The right to work, while it is the owner's turn.
  package struct Turn: Sendable {
    fileprivate let owner: Owner
    fileprivate let charge: Charge

    /// Does a piece on a thread of its own; it may block.
    package func run<Value: Sendable, Failure: Error>(
      _ piece: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
      typealias Outcome = (result: Result<Value, Failure>, seconds: Double)
      let outcome = await withCheckedContinuation {
        (continuation: CheckedContinuation<Outcome, Never>) in
        BackgroundThread.start {
          let began = ThreadClock.seconds
          let result = Result(catching: piece)
          continuation.resume(returning: (result, ThreadClock.seconds - began))
        }
      }
      await charge(owner, outcome.seconds)
      return try outcome.result.get()
    }
  }
}

/// A thread that runs while others leave it something to run on.
package enum BackgroundThread {
  /// A twenty-eighth of the weight of a thread that draws, when both want the same processor. Two
  /// such threads, as many as one user has, take some 4 % from two that draw all the time, and get
  /// what these leave between their steps, a fifth of a processor or more; of niceness 10 they
  /// take 14 %. Of niceness 19 they take 1 %, and hardly go on where everything is busy.
  package static let niceness: Int32 = 15

  /// Runs `body` on a new one. They come with work for milliseconds or more, against which starting
  /// them is nothing; and where none wait for work, none share a queue's lock with who brings it.
  static func start(_ body: @escaping @Sendable () -> Void) {
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    guard pthread_create(&thread, nil, performWork, work.toOpaque()) == 0 else {
      work.release()
      // The system, or the service's limit, has no thread left: it is done by one that is there.
      return DispatchQueue.global(qos: .utility).async(execute: body)
    }
    pthread_detach(thread)
  }
}

private final class Work: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func performWork(_ work: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  // Of this thread alone: for Linux it is a process of its own. Everybody may step back.
  _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, BackgroundThread.niceness)
  Unmanaged<Work>.fromOpaque(work!).takeRetainedValue().body()
  return nil
}
