import BananaSDK
import BananaTesting
import Foundation
import Testing

@Suite(.timeLimit(.minutes(5))) struct FullBacklogTests {
  /// A socket at which many wait is busy and not dead.
  @Test func waitsForItsTurn() async throws {
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/full.sock"
      let server = CrowdedServer(path)
      #expect(server.errorOfOneMore == EAGAIN)
      async let isReady: Void = BananaClient(socketPath: path).checkReady()
      try await Task.sleep(for: .milliseconds(50))
      server.open()
      try await isReady
    }
  }
}

/// A server whose backlog is full until it opens; then it says yes to everything.
private final class CrowdedServer: Sendable {
  private let path: String
  private let listener: Int32
  private let firstInLine: Int32

  init(_ path: String) {
    self.path = path
    listener = Self.socketAtPath(path) { bind($0, $1, $2) }.descriptor
    listen(listener, 0)
    firstInLine = Self.socketAtPath(path) { connect($0, $1, $2) }.descriptor
  }

  deinit {
    close(listener)
  }

  /// What the kernel says to somebody who would not wait.
  var errorOfOneMore: Int32 {
    let one = Self.socketAtPath(path) { connect($0, $1, $2) }
    close(one.descriptor)
    return one.error
  }

  func open() {
    close(firstInLine)
    Thread.detachNewThread { [listener] in
      while true {
        let client = accept(listener, nil, nil)
        if client < 0 {
          if errno == EAGAIN {
            usleep(1000)
            continue
          }
          return
        }
        var request = [UInt8](repeating: 0, count: 4096)
        _ = recv(client, &request, request.count, 0)
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
        _ = send(client, answer, answer.utf8.count, Int32(MSG_NOSIGNAL))
        close(client)
      }
    }
  }

  private static func socketAtPath(
    _ path: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> (descriptor: Int32, error: Int32) {
    let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
    let descriptor = socket(AF_UNIX, Int32(type), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    return (descriptor, result == 0 ? 0 : errno)
  }
}
