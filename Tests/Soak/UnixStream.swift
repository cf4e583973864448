import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Blocking Unix sockets.
enum UnixStream {
  /// - Parameter timeoutSeconds: How long connecting, sending and receiving may block.
  static func connect(_ path: String, timeoutSeconds: Int) -> Int32? {
    make(path) { descriptor, address, length in
      var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
      for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(
          descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
      }
      return Glibc.connect(descriptor, address, length)
    }
  }

  static func listen(_ path: String) -> Int32? {
    unlink(path)
    guard let descriptor = make(path, { Glibc.bind($0, $1, $2) }) else { return nil }
    guard Glibc.listen(descriptor, 16) == 0 else { return nil }
    return descriptor
  }

  static func send(_ descriptor: Int32, _ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  private static func make(
    _ path: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32? {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if result == 0 { return descriptor }
    close(descriptor)
    return nil
  }
}

/// A server that answers everything at once, on a thread of its own.
final class IdleServer: Sendable {
  private let descriptor: Int32?

  init(path: String) {
    let descriptor = UnixStream.listen(path)
    self.descriptor = descriptor
    guard let descriptor else { return }
    Thread.detachNewThread {
      while true {
        let connection = accept(descriptor, nil, nil)
        if connection < 0 { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        _ = recv(connection, &buffer, buffer.count, 0)
        _ = UnixStream.send(connection, "HTTP/1.1 200 OK\r\n\r\n")
        close(connection)
      }
    }
  }

  func stop() {
    if let descriptor { shutdown(descriptor, Int32(SHUT_RDWR)) }
  }
}
