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
}
