import NIOCore
import Synchronization

/// The connections that are open: to count them, to tell users apart, and to close the last ones at
/// the end.
final class ConnectionRegistry: Sendable {
  private let open = Mutex<[ObjectIdentifier: Connection]>([:])

  var count: Int { open.withLock { $0.count } }

  /// Those of one user.
  func count(of uid: UInt32) -> Int { open.withLock { $0.values.count { $0.peer.uid == uid } } }

  func add(_ connection: Connection) {
    open.withLock { $0[ObjectIdentifier(connection.channel)] = connection }
  }

  /// Nil once the connection is gone.
  func connection(of channel: any Channel) -> Connection? {
    open.withLock { $0[ObjectIdentifier(channel)] }
  }

  func remove(_ connection: Connection) {
    open.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(connection.channel)) }
  }

  /// Closes them whatever is still on its way.
  func closeAll() {
    let connections = open.withLock { Array($0.values) }
    for connection in connections {
      connection.channel.triggerUserOutboundEvent(RequestGate.CloseNow(), promise: nil)
    }
  }
}
