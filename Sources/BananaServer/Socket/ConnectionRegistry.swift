import NIOCore
import Serving
import Synchronization

/// The connections that are open: to count them, to tell users apart, and to close the last ones at
/// the end.
final class ConnectionRegistry: Sendable {
  private struct State {
    var open: [ObjectIdentifier: Connection] = [:]
    var isStopping = false
  }

  private let state = Mutex(State())

  var count: Int { state.withLock { $0.open.count } }

  /// Those of one user.
  func count(of uid: UInt32) -> Int {
    state.withLock { $0.open.values.count { $0.peer.uid == uid } }
  }

  /// - Returns: Whether it may ask: false once there are to be no more requests.
  func add(_ connection: Connection) -> Bool {
    state.withLock {
      $0.open[ObjectIdentifier(connection.channel)] = connection
      return !$0.isStopping
    }
  }

  /// Nil once the connection is gone.
  func connection(of channel: any Channel) -> Connection? {
    state.withLock { $0.open[ObjectIdentifier(channel)] }
  }

  func remove(_ connection: Connection) {
    state.withLock { _ = $0.open.removeValue(forKey: ObjectIdentifier(connection.channel)) }
  }

  /// Ends each of them once the answer under way is in the socket.
  func stop() {
    let connections = state.withLock { state in
      state.isStopping = true
      return Array(state.open.values)
    }
    for connection in connections {
      connection.channel.pipeline.fireUserInboundEventTriggered(RequestGate.NoMoreRequests())
    }
  }

  /// Closes them whatever is still on its way.
  func closeAll() {
    let connections = state.withLock { Array($0.open.values) }
    for connection in connections {
      connection.channel.triggerUserOutboundEvent(RequestGate.CloseNow(), promise: nil)
    }
  }
}
