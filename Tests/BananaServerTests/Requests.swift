import BananaAPI
import BananaTesting
import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Lets all users connect.
func chmodForAll(_ socketPath: String) -> Bool { chmod(socketPath, 0o666) == 0 }

/// Requests for pictures, sent without waiting for the answer, and questions about jobs.
extension TestDaemon {
  /// - Parameter fields: JSON members beside the prompt.
  func begin(
    _ prompt: String, _ fields: String = #""seed":1"#, uid: UInt32? = nil
  ) async throws -> RawConnection {
    let connection = try RawConnection(socketPath, uid: uid)
    try await connection.send(
      RawConnection.request(
        "POST", Route.imageGenerations, body: Array(#"{"prompt":"\#(prompt)",\#(fields)}"#.utf8)))
    return connection
  }

  func get(_ path: String, uid: UInt32? = nil) async throws -> RawConnection.Answer {
    try await RawConnection(socketPath, uid: uid).exchange("GET", path)
  }

  func jobs(uid: UInt32? = nil) async throws -> [JobInfo] {
    let answer = try await get(Route.jobs, uid: uid)
    return try JSONDecoder().decode(JobList.self, from: Data(answer.body.utf8)).data
  }

  /// Waits until so many jobs are in a state, and returns them.
  func jobs(
    _ count: Int, _ state: JobInfo.State, uid: UInt32? = nil
  ) async throws -> [JobInfo] {
    var found: [JobInfo] = []
    _ = try await eventually {
      found = try await jobs(uid: uid).filter { $0.state == state }
      return found.count == count
    }
    return found
  }
}

extension RawConnection {
  /// The answer to the request that was sent.
  func answer() async throws -> Answer {
    Self.parse(try await receiveAll())
  }
}

extension RawConnection.Answer {
  /// The code of an error.
  var code: String? {
    try? JSONDecoder().decode(WireError.self, from: Data(body.utf8)).error.code
  }
}

/// A `multipart/form-data` body.
struct TestForm {
  static let boundary = "----boundary7"
  var bytes: [UInt8] = []

  mutating func add(_ name: String, _ value: String) {
    add("name=\"\(name)\"", Array(value.utf8))
  }

  mutating func addFile(_ name: String, _ value: [UInt8], fileName: String = "x.png") {
    add("name=\"\(name)\"; filename=\"\(fileName)\"\r\nContent-Type: image/png", value)
  }

  private mutating func add(_ head: String, _ value: [UInt8]) {
    bytes += Array("--\(Self.boundary)\r\nContent-Disposition: form-data; \(head)\r\n\r\n".utf8)
    bytes += value + [13, 10]
  }

  /// Sends it and reads the answer.
  func post(to daemon: TestDaemon, uid: UInt32? = nil) async throws -> RawConnection.Answer {
    try await send(to: daemon, uid: uid).answer()
  }

  /// Sends it, as another user if need be.
  func send(to daemon: TestDaemon, uid: UInt32? = nil) async throws -> RawConnection {
    let body = bytes + Array("--\(Self.boundary)--\r\n".utf8)
    let connection = try RawConnection(daemon.socketPath, uid: uid)
    try await connection.send(
      "POST \(Route.imageEdits) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + "Content-Type: multipart/form-data; boundary=\(Self.boundary)\r\n"
        + "Content-Length: \(body.count)\r\n\r\n")
    try await connection.send(body)
    return connection
  }
}
