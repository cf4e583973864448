import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A connection that sends any bytes; it never blocks a thread.
package final class RawConnection: Sendable {
  package struct Failed: Error {
    package var call: String
    package var errno: Int32
  }

  /// The answer to one request.
  package struct Answer: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [String: String]
    package var body: String
  }

  private let descriptor: Int32
  private let path: String
  private let uid: UInt32?
  private let isConnected = Mutex(false)

  /// Connects, at once or, where the socket's queue is full, before the first byte is sent or
  /// received: a thread that waited could be one that the daemon needs, when it is in this process.
  /// - Parameter uid: As whom to connect, which only root can choose; nil is this process' user.
  package init(_ path: String, uid: UInt32? = nil) throws {
    self.path = path
    self.uid = uid
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    descriptor = socket(AF_UNIX, type, 0)
    guard descriptor >= 0 else { throw Failed(call: "socket", errno: errno) }
    // The end of this object closes the descriptor; closed twice it could be another's.
    _ = try connectIfPossible()
  }

  /// - Returns: Whether it is connected; false while the socket's queue is full.
  private func connectIfPossible() throws -> Bool {
    try isConnected.withLock { isConnected in
      if isConnected { return true }
      let impersonation = try uid.map { try Impersonation($0) }
      defer { impersonation?.end() }
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
      let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      guard result == 0 || errno == EAGAIN else { throw Failed(call: "connect", errno: errno) }
      isConnected = result == 0
      return isConnected
    }
  }

  /// Waits until it is connected.
  package func connected() async throws {
    while try !connectIfPossible() { try await Task.sleep(for: .milliseconds(2)) }
  }

  deinit {
    close(descriptor)
  }

  /// Hangs up both ways, as a client does that goes away.
  package func hangUp() {
    shutdown(descriptor, Int32(SHUT_RDWR))
  }

  /// Says that nothing more is sent, and goes on listening.
  package func finishSending() {
    shutdown(descriptor, Int32(SHUT_WR))
  }

  package func send(_ text: String) async throws {
    try await send(Array(text.utf8))
  }

  package func send(_ bytes: [UInt8]) async throws {
    try await connected()
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        try await Task.sleep(for: .milliseconds(2))
      } else {
        throw Failed(call: "send", errno: errno)
      }
    }
  }

  /// Sends what the socket takes at the moment.
  /// - Returns: How many bytes that was.
  package func sendWithoutWaiting(_ text: String) -> Int {
    guard (try? connectIfPossible()) == true else { return 0 }
    let bytes = Array(text.utf8)
    return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// What has come so far, at most 64 KiB; empty at the end, nil while nothing is there.
  package func receiveWithoutWaiting() -> [UInt8]? {
    guard (try? connectIfPossible()) == true else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count >= 0 ? Array(buffer.prefix(count)) : nil
  }

  /// The next bytes; empty at the end of the stream.
  package func receive(atMost limit: Int = 65536) async throws -> [UInt8] {
    try await connected()
    var buffer = [UInt8](repeating: 0, count: limit)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count >= 0 { return Array(buffer.prefix(count)) }
      // The other side closed before it had read everything.
      if errno == ECONNRESET { return [] }
      guard errno == EAGAIN else { throw Failed(call: "recv", errno: errno) }
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  /// Everything up to the end of the stream.
  package func receiveAll() async throws -> String {
    var all: [UInt8] = []
    while true {
      let bytes = try await receive()
      if bytes.isEmpty { return String(decoding: all, as: UTF8.self) }
      all += bytes
    }
  }

  /// Sends a request whose answer ends the connection, and reads that answer.
  package func exchange(_ method: String, _ path: String, body: [UInt8]? = nil) async throws
    -> Answer
  {
    do { try await send(Self.request(method, path, body: body)) } catch let failed as Failed {
      // A daemon that has refused reads no more, but has answered.
      guard failed.errno == EPIPE else { throw failed }
    }
    return Self.parse(try await receiveAll())
  }

  package static func request(_ method: String, _ path: String, body: [UInt8]? = nil) -> [UInt8] {
    var head = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
    return Array((head + "\r\n").utf8) + (body ?? [])
  }

  package static func parse(_ text: String) -> Answer {
    let bytes = Array(text.utf8)
    let end = bytes.indices.first { bytes[$0...].starts(with: [13, 10, 13, 10]) } ?? bytes.count
    let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
    let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2 { headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }) }
    }
    let body = String(decoding: bytes.dropFirst(end + 4), as: UTF8.self)
    return Answer(status: status, headers: headers, body: body)
  }
}
