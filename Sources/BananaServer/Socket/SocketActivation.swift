#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// systemd's socket activation, `sd_listen_fds_with_names(3)`: listening sockets wait as the
/// descriptors from 3 on. The one for admins is called `admin` by its unit; another is for apps.
package enum SocketActivation {
  struct Activated {
    var descriptor: Int32
    var path: String
  }

  /// Which of the sockets that are handed over are what, counted from 0.
  package struct Places: Sendable, Equatable {
    package var app: Int?
    package var admin: Int?
  }

  private static let firstDescriptor: Int32 = 3
  private static let adminName = "admin"

  /// The sockets that systemd hands over; none when this process was started without.
  static func adopt(
    environment: [String: String]
  ) throws(ListenerError) -> (app: Activated?, admin: Activated?) {
    let places = try places(environment)
    guard places != Places() else { return (nil, nil) }
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] { unsetenv(name) }
    return (try places.app.map(adopt), try places.admin.map(adopt))
  }

  /// What the environment says, if it is for this process.
  package static func places(_ environment: [String: String]) throws(ListenerError) -> Places {
    guard let count = environment["LISTEN_FDS"].flatMap({ Int($0) }), count > 0,
      environment["LISTEN_PID"].flatMap({ Int32($0) }) == getpid()
    else { return Places() }
    let names = (environment["LISTEN_FDNAMES"] ?? "").split(
      separator: ":", omittingEmptySubsequences: false)
    // Three are too many whatever they are called.
    let indices = 0..<min(count, 3)
    let admins = indices.filter { $0 < names.count && names[$0] == adminName }
    let apps = indices.filter { !admins.contains($0) }
    guard admins.count <= 1, apps.count <= 1 else {
      throw .badActivation(reason: "\(count) sockets were handed over")
    }
    return Places(app: apps.first, admin: admins.first)
  }

  private static func adopt(_ index: Int) throws(ListenerError) -> Activated {
    let descriptor = firstDescriptor + Int32(index)
    guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
      throw .badActivation(reason: "descriptor \(descriptor) is not open")
    }
    var isListening: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0,
      isListening == 1, let path = path(of: descriptor)
    else {
      throw .badActivation(reason: "descriptor \(descriptor) is no listening Unix socket")
    }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    return Activated(descriptor: descriptor, path: path)
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
