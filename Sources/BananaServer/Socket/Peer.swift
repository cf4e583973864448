import NIOCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Who is at the other end of a connection, as the kernel says.
package struct Peer: Sendable, Hashable {
  /// The user that connected.
  package var uid: UInt32
  /// Whether it came by the admin socket, which only root may open.
  package var isAdmin: Bool
  /// Whose share its requests count into.
  package var account: Account

  /// Whether other users come with the same uid: those that have none in the daemon's user
  /// namespace, or the clients of a forwarder. What belongs to such a uid belongs to nobody.
  package var isShared: Bool

  /// - Parameter account: Nil is the uid's own.
  package init(uid: UInt32, isAdmin: Bool, account: Account? = nil, isShared: Bool = false) {
    self.uid = uid
    self.isAdmin = isAdmin
    self.account = account ?? .user(uid)
    self.isShared = isShared
  }

  /// Whether a job of this uid is the peer's to see and to cancel.
  func owns(_ uid: UInt32) -> Bool { isAdmin || uid == self.uid && !isShared }

  /// Whether the daemon's figures are told exactly: to whoever runs the machine or the daemon.
  /// Others could learn from them what users draw.
  package var seesExactFigures: Bool {
    isAdmin || !isShared && (uid == 0 || uid == geteuid())
  }

  /// Quotas are for apps, not for whoever runs the machine.
  package var isExemptFromQuotas: Bool { isAdmin || uid == 0 }

  /// The credentials with which the other end of `channel` connected (`SO_PEERCRED`, unix(7)).
  /// - Throws: What the kernel says when the channel is no connected Unix socket.
  static func read(
    from channel: any Channel, isAdmin: Bool, accounts: AccountBook, sharedUIDs: Set<UInt32>
  ) async throws -> Peer {
    guard let socket = channel as? any SocketOptionProvider else {
      throw ChannelError.operationUnsupported
    }
    // As the kernel lays out struct ucred; glibc hides its own behind a feature macro.
    let credentials: Credentials = try await socket.unsafeGetSocketOption(
      level: .socket, name: .init(rawValue: SO_PEERCRED)
    ).get()
    let known = await accounts.answer(for: credentials.uid)
    return Peer(
      uid: credentials.uid, isAdmin: isAdmin, account: known.account,
      isShared: known.isForwarder || sharedUIDs.contains(credentials.uid))
  }

  private struct Credentials: Sendable {
    var pid: Int32
    var uid: UInt32
    var gid: UInt32
  }
}
