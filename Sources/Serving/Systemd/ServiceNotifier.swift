private import CSystemd

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Tells the service manager about the daemon's state, as `sd_notify(3)` has it.
package struct ServiceNotifier: Sendable {
  /// How often the manager wants to hear from a living daemon; nil when it does not.
  package let watchdogInterval: Duration?
  private let deliver: @Sendable (String) -> Bool

  /// - Parameter deliver: Takes one or more assignments, a line each; says whether they arrived.
  package init(watchdogInterval: Duration?, deliver: @escaping @Sendable (String) -> Bool) {
    self.watchdogInterval = watchdogInterval
    self.deliver = deliver
  }

  /// Speaks to who has started this process; nil when nobody listens, as outside of systemd.
  package init?() {
    guard getenv("NOTIFY_SOCKET") != nil else { return nil }
    var microseconds: UInt64 = 0
    // Negative for times that make no sense, which are nobody's wish.
    let isWatched = banana_sd_watchdog_enabled(&microseconds) > 0
    self.init(
      watchdogInterval: isWatched ? .microseconds(Int64(clamping: microseconds)) : nil,
      deliver: { banana_sd_notify($0) > 0 })
  }

  /// Sends one or more assignments, such as `READY=1`.
  /// - Returns: False when the manager did not take it.
  @discardableResult
  package func send(_ assignments: String...) -> Bool {
    deliver(assignments.joined(separator: "\n"))
  }
}
