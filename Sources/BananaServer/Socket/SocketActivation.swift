#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// systemd's socket activation, `sd_listen_fds(3)`: a listening socket waits as descriptor 3.
enum SocketActivation {
  private static let firstDescriptor: Int32 = 3

  /// The socket that systemd hands over, or nil when this process was started without one.
  static func adopt(
    environment: [String: String]
  ) throws(ListenerError) -> (descriptor: Int32, path: String)? {
    guard let count = environment["LISTEN_FDS"].flatMap({ Int($0) }), count > 0,
      environment["LISTEN_PID"].flatMap({ Int32($0) }) == getpid()
    else { return nil }
    guard count == 1 else { throw .badActivation(reason: "\(count) sockets were handed over") }
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] { unsetenv(name) }
    let descriptor = firstDescriptor
    guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
      throw .badActivation(reason: "descriptor 3 is not open")
    }
    var isListening: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0,
      isListening == 1, let path = path(of: descriptor)
    else { throw .badActivation(reason: "descriptor 3 is no listening Unix socket") }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    return (descriptor, path)
  }

  private static func path(of descriptor: Int32) -> String? {
    var address = sockaddr_un()
    var length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockname(descriptor, $0, &length)
      }
    }
    guard result == 0, address.sun_family == sa_family_t(AF_UNIX) else { return nil }
    return withUnsafeBytes(of: address.sun_path) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
