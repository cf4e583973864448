import BananaAPI

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The few calls on Unix-domain stream sockets that making a listener takes.
enum UnixSocket {
  /// Bytes that a path may have.
  static let maximumPathBytes = SocketPath.maximumBytes

  /// What connecting to a path finds.
  enum Probe: Equatable {
    case nothing, stale, live
    case failed(errno: Int32)
  }

  /// A new socket that is closed on exec and never blocks.
  static func make() throws(ListenerError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, type, 0)
    guard descriptor >= 0 else {
      throw ListenerError.system(call: "socket", errno: errno, path: "")
    }
    return descriptor
  }

  /// Calls `body` with the address of `path`, which has at most `maximumPathBytes` bytes.
  static func withAddress<Result>(
    of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    precondition(path.utf8.count <= maximumPathBytes)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  /// Connects to `path` to see who is there, and hangs up.
  static func probe(_ path: String) throws(ListenerError) -> Probe {
    let descriptor = try make()
    defer { close(descriptor) }
    let result = withAddress(of: path) { connect(descriptor, $0, $1) }
    if result == 0 { return .live }
    return switch errno {
    // A full backlog means that somebody listens.
    case EAGAIN, EINPROGRESS: .live
    case ENOENT: .nothing
    case ECONNREFUSED: .stale
    case let error: .failed(errno: error)
    }
  }
}
