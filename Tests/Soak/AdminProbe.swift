import BananaAPI
import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Measures how long the admin's paths take to answer, one request at a time, and beside them a
/// server that does nothing: what that takes is the machine's doing.
struct AdminProbe {
  /// Where the idle server's figures are found among the samples.
  static let idleServer = "(idle server)"
  static let paths = [Route.status, Route.metrics, Route.health, Route.jobs]

  let plan: ClientPlan

  func run() -> ClientReport {
    var report = ClientReport()
    let idle = plan.space.folder + "/idle.sock"
    let server = IdleServer(path: idle)
    let requests =
      Self.paths.map { (path: $0, socket: plan.space.adminSocket) }
      + [(path: Self.idleServer, socket: idle)]
    var turn = 0
    while Clock.now < plan.end {
      let (path, socket) = requests[turn % requests.count]
      turn += 1
      let start = Clock.now
      let isAnswered = Self.exchange(path, socket)
      let end = Clock.now
      if isAnswered {
        report.samples[path, default: []].append(.init(start: start, seconds: end - start))
        report.count("admin \(path)", "ok")
      } else {
        report.count("admin \(path)", "interrupted")
        report.interruptions.append(.init(start: start, end: end, what: "admin \(path)"))
      }
      usleep(8_000)
    }
    server.stop()
    return report
  }

  /// Connects, asks, and reads up to the end; false unless the answer is a success.
  private static func exchange(_ path: String, _ socketPath: String) -> Bool {
    guard let descriptor = UnixStream.connect(socketPath) else { return false }
    defer { close(descriptor) }
    let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    guard UnixStream.send(descriptor, request) else { return false }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { break }
      answer += buffer[..<count]
    }
    return answer.starts(with: "HTTP/1.1 200".utf8)
  }
}

/// Blocking Unix sockets.
private enum UnixStream {
  static func connect(_ path: String) -> Int32? {
    make(path) { Glibc.connect($0, $1, $2) }
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

/// Answers everything at once, on a thread of its own.
private final class IdleServer: Sendable {
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
