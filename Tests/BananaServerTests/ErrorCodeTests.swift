import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Every error code is provoked, and every one is in the documentation.
@Suite(.timeLimit(.minutes(5))) struct ErrorCodeTests {
  /// What provokes a code: a request to a daemon with this engine.
  private struct Provocation {
    var fields = #""prompt":"p""#
    var engine = FakeEngine()
    var configuration = DaemonConfiguration()
    var availableBytes: Int?
    var method = "POST"
    var path = Route.imageGenerations
    var isModelMissing = false
    /// Requests for pictures that come before and are not done.
    var earlier = 0
    /// Instead of a request with these fields.
    var raw: String?
    /// Whether the daemon stops while the request waits.
    var isStopping = false
  }

  private static func provocation(of code: ErrorCode) -> Provocation {
    let held = FakeEngine(isHeld: true)
    return switch code {
    case .invalidRequest: Provocation(fields: #""prompt":"""#)
    case .requestTooLarge:
      Provocation(fields: #""prompt":"\#(String(repeating: "x", count: 4001))""#)
    case .forbidden:
      Provocation(
        raw: "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    case .requestTimeout:
      Provocation(
        configuration: .init(idleTimeout: .seconds(1)),
        raw: "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    case .unsupportedMediaType:
      Provocation(
        raw: "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
          + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    case .modelNotFound: Provocation(fields: #""prompt":"p","model":"x""#)
    case .peelNotFound: Provocation(fields: #""prompt":"p","peels":["x"]"#)
    case .peelInvalid: Provocation(path: Route.peels + "?name=x")
    case .jobNotFound: Provocation(method: "GET", path: Route.job("x"))
    case .notFound: Provocation(path: "/v2")
    case .methodNotAllowed: Provocation(method: "GET")
    case .modelUnavailable: Provocation(isModelMissing: true)
    case .busy:
      Provocation(
        engine: held, configuration: .init(waitingJobs: 1, quotas: .off), earlier: 2)
    case .quotaExceeded:
      Provocation(
        engine: held, configuration: .init(quotas: .init(concurrentJobs: 1)), earlier: 1)
    case .deadlineExceeded:
      Provocation(fields: #""prompt":"p","deadline_seconds":0.01"#, engine: held)
    case .cancelled: Provocation(engine: FakeEngine(failure: .cancelled))
    case .insufficientMemory: Provocation(availableBytes: 1)
    case .notEnoughDiskSpace: preconditionFailure("a test of its own")
    case .shuttingDown: Provocation(engine: held, earlier: 1, isStopping: true)
    case .internalError: Provocation(engine: FakeEngine(failure: .generation(.unequalShapes)))
    }
  }

  private struct Missing: Error {}

  @Test(arguments: ErrorCode.allCases.filter { $0 != .notEnoughDiskSpace })
  func isProvoked(_ code: ErrorCode) async throws {
    let cause = Self.provocation(of: code)
    // Quotas are not for root.
    let uid: UInt32? = Impersonation.isPossible && code == .quotaExceeded ? 61_001 : nil
    let makeEngine: @Sendable () throws -> any PictureEngine = {
      if cause.isModelMissing { throw Missing() }
      return cause.engine
    }
    try await TestDaemon.serving(
      configuration: cause.configuration, availableBytes: cause.availableBytes,
      makeEngine: makeEngine
    ) { daemon async throws in
      defer { cause.engine.release() }
      chmod(daemon.socketPath, 0o666)
      var earlier: [RawConnection] = []
      for index in 0..<cause.earlier {
        earlier.append(try await daemon.begin("p", uid: uid))
        _ = try await daemon.jobs(max(index, 1), index == 0 ? .running : .waiting, uid: uid)
      }
      let connection = try RawConnection(daemon.socketPath, uid: uid)
      try await connection.send(
        cause.raw.map { Array($0.utf8) }
          ?? RawConnection.request(
            cause.method, cause.path, body: Array("{\(cause.fields)}".utf8)))
      if cause.isStopping {
        _ = try await daemon.jobs(1, .waiting)
        await daemon.beginStopping()
      }
      expect(try await connection.answer(), code)
    }
  }

  private func expect(_ answer: RawConnection.Answer, _ code: ErrorCode) {
    #expect(answer.status == code.httpStatus)
    #expect(answer.code == code.rawValue, "\(answer.body)")
    #expect((answer.headers["retry-after"] != nil) == (code.retry != .never))
  }

  /// A disk with room for less than a peel, which only root can have.
  private struct SmallDisk: ~Copyable {
    static let canBeMade: Bool = {
      let path = "/tmp/banana-disk-\(getpid())"
      defer { rmdir(path) }
      return mkdir(path, 0o700) == 0 && (try? SmallDisk(path)) != nil
    }()

    let path: String

    init(_ path: String) throws {
      self.path = path
      if mount("tmpfs", path, "tmpfs", 0, "size=16k,mode=700") != 0 { throw Missing() }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }
  }

  @Test(.enabled(if: SmallDisk.canBeMade))
  func saysThatTheDiskIsFull() async throws {
    try await TemporaryFolder.with { folder in
      let state = folder + "/b.sock.state"
      try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: false)
      let disk = try SmallDisk(state)
      let daemon = try TestDaemon(socketPath: folder + "/b.sock") { _, _ in FakeEngine() }
      let answer = try await RawConnection(daemon.socketPath)
        .exchange("POST", Route.peels + "?name=x", body: TestPeel.bytes(rank: 128))
      expect(answer, .notEnoughDiskSpace)
      #expect(
        try await RawConnection(daemon.socketPath).exchange("GET", Route.peels).body
          .contains(#""data":[]"#))
      try await daemon.stop()
      _ = disk
    }
  }

  @Test func isDocumented() throws {
    let page = try Documents.read("api.md")
    for code in ErrorCode.allCases {
      #expect(
        page.contains("| `\(code.rawValue)` | \(code.httpStatus) |"), "docs/api.md lacks \(code)")
    }
    for route in Route.served {
      for method in route.methods {
        #expect(page.contains("`\(method) \(route.path)`"), "docs/api.md lacks \(route.path)")
      }
    }
    struct Document: Decodable {
      var paths: [String: [String: JSONValue]]
    }
    let openAPI = try JSONDecoder().decode(
      Document.self, from: Data(try Documents.read("openapi.json").utf8))
    for route in Route.served {
      let methods = Set(openAPI.paths[route.path]?.keys.map { $0.uppercased() } ?? [])
      #expect(
        methods.subtracting(["PARAMETERS"]) == Set(route.methods), "openapi.json: \(route.path)")
    }
  }
}
