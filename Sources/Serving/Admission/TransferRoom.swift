package import BananaAPI
import Synchronization

/// What one body, or one answer, holds of the room for bytes that are on their way.
///
/// Whoever holds the bytes holds this, and it is given back with the last reference to it: neither
/// the end of the connection nor that of the answer says that the bytes have gone.
package final class TransferRoom: Sendable {
  private let admission: Admission
  private let peer: Peer
  private let bytes = Mutex(0)

  package init(of peer: Peer, in admission: Admission) {
    self.admission = admission
    self.peer = peer
  }

  deinit { release() }

  /// - Throws: `APIError` with code `busy`.
  package func take(_ count: Int) throws(APIError) {
    try admission.take(bytes: count, for: peer)
    bytes.withLock { $0 += count }
  }

  package func give(_ count: Int) {
    bytes.withLock { $0 -= count }
    admission.give(bytes: count, of: peer)
  }

  /// Gives all of it back.
  package func release() {
    let all = bytes.withLock { bytes in
      defer { bytes = 0 }
      return bytes
    }
    admission.give(bytes: all, of: peer)
  }
}
