import BananaAPI
import Synchronization

/// What happens to a job, in order, as its client reads it; ends with `.finished` or `.failed`.
package struct JobEvents: AsyncSequence, Sendable {
  fileprivate let mailbox: JobMailbox
  fileprivate let arrivals: AsyncStream<Void>

  package struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let mailbox: JobMailbox
    fileprivate var arrivals: AsyncStream<Void>.Iterator

    /// Asking for the next says that the last one is not held any more.
    package mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(Never) -> JobEvent? {
      while true {
        if let event = mailbox.take() { return event }
        if await arrivals.next(isolation: actor) == nil { return mailbox.take() }
      }
    }
  }

  package func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(mailbox: mailbox, arrivals: arrivals.makeAsyncIterator())
  }

  /// So much of the event that was read last is counted elsewhere from here on.
  package func handOver(_ bytes: Int) { mailbox.handOver(bytes) }

  /// Nothing is read any more, and what was read is not held.
  package func leave() { mailbox.leave() }
}

/// Where the events of a job wait for its client, who may read slowly or not at all.
///
/// Pictures in it count into the room for what is on its way to the client's account. Where there
/// is none, previews that nobody has read make way; an answer for which there still is none is not
/// kept here, and the client is told so.
final class JobMailbox: Sendable {
  private struct State {
    var unread: [JobEvent] = []
    /// Of the event that the client is at.
    var readBytes = 0
    /// The last event is there.
    var isOver = false
    var hasLeft = false
  }

  /// Unread events without pictures; the oldest are of no use by then.
  private static let maximumSteps = 64

  private let state = Mutex(State())
  private let arrivals: AsyncStream<Void>.Continuation
  /// Nil counts nothing.
  private let room: TransferRoom?

  private init(_ room: TransferRoom?, _ arrivals: AsyncStream<Void>.Continuation) {
    self.room = room
    self.arrivals = arrivals
  }

  /// - Parameter left: Called when the client stops reading before the end.
  static func make(
    _ room: TransferRoom?, left: @escaping @Sendable () -> Void
  ) -> (mailbox: JobMailbox, events: JobEvents) {
    let (arrivals, continuation) = AsyncStream<Void>.makeStream(
      bufferingPolicy: .bufferingNewest(1))
    let mailbox = JobMailbox(room, continuation)
    continuation.onTermination = { [weak mailbox] reason in
      guard case .cancelled = reason else { return }
      mailbox?.leave()
      left()
    }
    return (mailbox, JobEvents(mailbox: mailbox, arrivals: arrivals))
  }

  func yield(_ event: JobEvent) {
    state.withLock { state in
      guard !state.isOver, !state.hasLeft else { return }
      if event.pictureBytes == 0 {
        let steps = state.unread.indices.filter { state.unread[$0].pictureBytes == 0 }
        if steps.count >= Self.maximumSteps { state.unread.remove(at: steps[0]) }
      } else if !makeRoom(for: event.pictureBytes, &state) {
        return
      }
      state.unread.append(event)
    }
    arrivals.yield()
  }

  /// The last event.
  func end(_ outcome: Result<ImageGenerationResponse, JobError>) {
    state.withLock { state in
      guard !state.isOver, !state.hasLeft else { return }
      state.isOver = true
      switch outcome {
      case .success(let response):
        let event = JobEvent.finished(response)
        let hasRoom = makeRoom(for: event.pictureBytes, &state)
        state.unread.append(hasRoom ? event : .failed(.unread))
      case .failure(let error): state.unread.append(.failed(error))
      }
    }
    arrivals.yield()
    arrivals.finish()
  }

  private func makeRoom(for bytes: Int, _ state: inout State) -> Bool {
    guard let room else { return true }
    while true {
      do throws(APIError) {
        try room.take(bytes)
        return true
      } catch {
        guard let index = state.unread.firstIndex(where: { $0.pictureBytes > 0 }) else {
          return false
        }
        room.give(state.unread.remove(at: index).pictureBytes)
      }
    }
  }

  fileprivate func take() -> JobEvent? {
    state.withLock { state in
      room?.give(state.readBytes)
      state.readBytes = 0
      guard !state.unread.isEmpty else { return nil }
      let event = state.unread.removeFirst()
      state.readBytes = event.pictureBytes
      return event
    }
  }

  fileprivate func handOver(_ bytes: Int) {
    state.withLock { state in
      let count = min(bytes, state.readBytes)
      state.readBytes -= count
      room?.give(count)
    }
  }

  fileprivate func leave() {
    state.withLock { state in
      state.hasLeft = true
      state.unread = []
      state.readBytes = 0
      room?.release()
    }
  }
}

extension JobEvent {
  /// About what its pictures take on the wire, in base64 with what is said of them; at least what
  /// they take here.
  fileprivate var pictureBytes: Int {
    func onWire(_ count: Int) -> Int { (count + 2) / 3 * 4 + 4096 }
    return switch self {
    case .waiting, .progress, .failed: 0
    case .preview(let preview): onWire(preview.png.count)
    case .finished(let response): response.data.reduce(0) { $0 + onWire($1.png.count) }
    }
  }
}
