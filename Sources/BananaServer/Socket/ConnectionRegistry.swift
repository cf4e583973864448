import NIOCore
import Synchronization

/// The connections that are open and who is at their other ends: to count them, to tell users
/// apart, and to close the last ones at the end.
final class ConnectionRegistry: Sendable {
  private let open = Mutex<[ObjectIdentifier: (channel: any Channel, peer: Peer)]>([:])

  var count: Int { open.withLock { $0.count } }

  /// Those of one user.
  func count(of uid: UInt32) -> Int { open.withLock { $0.values.count { $0.peer.uid == uid } } }

  func add(_ channel: any Channel, _ peer: Peer) {
    open.withLock { $0[ObjectIdentifier(channel)] = (channel, peer) }
  }

  /// Nil once the connection is gone.
  func peer(of channel: any Channel) -> Peer? {
    open.withLock { $0[ObjectIdentifier(channel)]?.peer }
  }

  func remove(_ channel: any Channel) {
    open.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) }
  }

  func closeAll() {
    let channels = open.withLock { $0.values.map(\.channel) }
    for channel in channels { channel.close(promise: nil) }
  }
}
