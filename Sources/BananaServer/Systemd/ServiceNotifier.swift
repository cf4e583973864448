#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Tells systemd about the daemon's state, as `sd_notify(3)` does it.
package struct ServiceNotifier: Sendable {
  private let address: [UInt8]
  /// How often systemd wants to hear from a living daemon; nil when it does not.
  package let watchdogInterval: Duration?

  /// Nil when nobody listens, as outside of systemd or with a malformed `NOTIFY_SOCKET`.
  package init?(environment: [String: String]) {
    guard let name = environment["NOTIFY_SOCKET"], let first = name.utf8.first,
      first == UInt8(ascii: "/") || first == UInt8(ascii: "@"), name.utf8.count > 1,
      name.utf8.count <= UnixSocket.maximumPathBytes
    else { return nil }
    var address = Array(name.utf8)
    // An abstract name is written with @ and begins with a NUL.
    if first == UInt8(ascii: "@") { address[0] = 0 }
    self.address = address
    watchdogInterval = Self.watchdogInterval(environment)
  }

  /// Sends one or more assignments, such as `READY=1`.
  /// - Returns: False when systemd did not take it.
  @discardableResult
  package func send(_ assignments: String...) -> Bool {
    let descriptor = socket(
      AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let message = Array(assignments.joined(separator: "\n").utf8)
    var target = sockaddr_un()
    target.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: address) }
    let length = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + address.count
    let sent = withUnsafePointer(to: &target) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(
          descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
      }
    }
    return sent == message.count
  }

  private static func watchdogInterval(_ environment: [String: String]) -> Duration? {
    guard let microseconds = environment["WATCHDOG_USEC"].flatMap({ Int($0) }), microseconds > 0
    else { return nil }
    if let pid = environment["WATCHDOG_PID"], Int32(pid) != getpid() { return nil }
    return .microseconds(microseconds)
  }
}
