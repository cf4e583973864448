import BananaAPI
import NIOCore
import Serving
import Synchronization

/// One client's connection: who is there, the room that is taken for its bytes, and what is being
/// done for it.
final class Connection: Sendable {
  private struct State {
    /// For the body of the request under way.
    var body: TransferRoom?
    /// Ends what is being done.
    var cancel: (@Sendable () -> Void)?
    var isClosed = false
  }

  let channel: any Channel
  let peer: Peer
  private let admission: Admission
  private let state = Mutex(State())

  init(channel: any Channel, peer: Peer, admission: Admission) {
    self.channel = channel
    self.peer = peer
    self.admission = admission
  }

  /// The largest body of an edit.
  var editBodyBytes: Int { admission.editBodyBytes }

  func begin(_ kind: RequestRates.Kind) throws(RequestRefusal) {
    try admission.begin(kind, by: peer)
  }

  /// Room for the next request's body; who reads the body finds it here.
  func beginBody() -> TransferRoom {
    let room = makeRoom()
    state.withLock { $0.body = room }
    return room
  }

  /// The room for the body of the request under way.
  var body: TransferRoom? { state.withLock(\.body) }

  /// The request with its answer is over; its handler may still hold the room.
  func endBody() {
    state.withLock { $0.body = nil }
  }

  /// Room that is no body's.
  func makeRoom() -> TransferRoom { TransferRoom(of: peer, in: admission) }

  func take(bytes: Int) throws(APIError) {
    try admission.take(bytes: bytes, for: peer)
  }

  func give(bytes: Int) {
    admission.give(bytes: bytes, of: peer)
  }

  /// Does what a request asks for, as a task that is cancelled when the client hangs up.
  func handle<Value: Sendable>(
    _ work: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    let task = Task { try await work() }
    let isClosed = state.withLock { state in
      state.cancel = { task.cancel() }
      return state.isClosed
    }
    if isClosed { task.cancel() }
    defer { state.withLock { $0.cancel = nil } }
    return try await withTaskCancellationHandler {
      try await task.value
    } onCancel: {
      task.cancel()
    }
  }

  /// The client has gone.
  func close() {
    let cancel = state.withLock { state in
      state.body = nil
      state.isClosed = true
      return state.cancel
    }
    cancel?()
  }
}
