import BananaAPI
import NIOCore
import Serving
import Synchronization

/// One client's connection: who is there, and the room that is taken for its bytes.
final class Connection: Sendable {
  let channel: any Channel
  let peer: Peer
  private let admission: Admission
  private let bodyBytes = Mutex(0)

  init(channel: any Channel, peer: Peer, admission: Admission) {
    self.channel = channel
    self.peer = peer
    self.admission = admission
  }

  deinit { releaseBody() }

  /// The largest body of an edit.
  var editBodyBytes: Int { admission.editBodyBytes }

  func begin(_ kind: RequestRates.Kind) throws(RequestRefusal) {
    try admission.begin(kind, by: peer)
  }

  /// Takes room for bytes of the request's body, until `releaseBody`.
  func take(bodyBytes bytes: Int) throws(APIError) {
    try take(bytes: bytes)
    bodyBytes.withLock { $0 += bytes }
  }

  /// The body of the request is no longer held, whatever of it has come.
  func releaseBody() {
    let bytes = bodyBytes.withLock { bytes in
      defer { bytes = 0 }
      return bytes
    }
    give(bytes: bytes)
  }

  func take(bytes: Int) throws(APIError) {
    try admission.take(bytes: bytes, for: peer)
  }

  func give(bytes: Int) {
    admission.give(bytes: bytes, of: peer)
  }
}
