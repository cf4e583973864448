import BananaAPI
import BananaServer
import BananaTesting
import FoundationEssentials
import Testing

/// Every error code is provoked, and every one is in the documentation.
@Suite(.timeLimit(.minutes(5))) struct ErrorCodeTests {
  /// What provokes a code: requests for pictures to a daemon with this engine.
  private struct Provocation {
    var fields = #""prompt":"p""#
    var engine = FakeEngine()
    var configuration = DaemonConfiguration()
    var availableBytes: Int?
    var method = "POST"
    var path = Route.imageGenerations
  }

  /// Nil for codes that have a test of their own elsewhere.
  private static func provocation(of code: ErrorCode) -> Provocation? {
    switch code {
    case .invalidRequest: Provocation(fields: #""prompt":"""#)
    case .requestTooLarge:
      Provocation(fields: #""prompt":"\#(String(repeating: "x", count: 4001))""#)
    case .modelNotFound: Provocation(fields: #""prompt":"p","model":"x""#)
    case .peelNotFound: Provocation(fields: #""prompt":"p","peels":["x"]"#)
    case .jobNotFound: Provocation(method: "GET", path: Route.job("x"))
    case .notFound: Provocation(path: "/v2")
    case .methodNotAllowed: Provocation(method: "GET")
    case .deadlineExceeded:
      Provocation(
        fields: #""prompt":"p","deadline_seconds":0.01"#, engine: FakeEngine(isHeld: true))
    case .cancelled: Provocation(engine: FakeEngine(failure: .cancelled))
    case .insufficientMemory: Provocation(availableBytes: 1)
    case .internalError: Provocation(engine: FakeEngine(failure: .failed(message: "Broken.")))
    // JobTests.saysBusyWhenTheQueueIsFull, IsolationTests, DaemonTests.livesWithoutAModel… and
    // .finishesTheRunningJob…; peels' own tests for what only installing can meet.
    case .busy, .quotaExceeded, .modelUnavailable, .shuttingDown, .peelInvalid,
      .notEnoughDiskSpace:
      nil
    }
  }

  @Test(arguments: ErrorCode.allCases)
  func isProvoked(_ code: ErrorCode) async throws {
    guard let cause = Self.provocation(of: code) else { return }
    try await TestDaemon.serving(
      cause.engine, configuration: cause.configuration, availableBytes: cause.availableBytes
    ) { daemon async throws in
      let answer = try await RawConnection(daemon.socketPath)
        .exchange(cause.method, cause.path, body: Array("{\(cause.fields)}".utf8))
      #expect(answer.status == code.httpStatus)
      #expect(answer.code == code.rawValue, "\(answer.body)")
      #expect((answer.headers["retry-after"] != nil) == (code.retry != .never))
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
