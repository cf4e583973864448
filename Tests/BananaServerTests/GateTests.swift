import BananaAPI
import BananaTesting
import FoundationEssentials
import Logging
import Serving
import Testing

/// HTTP as clients speak it that are not ours, well and badly.
@Suite(.timeLimit(.minutes(5))) struct GateTests {
  private static let json = #"{"prompt":"p","seed":1}"#

  private static func head(
    _ method: String, _ path: String, _ lines: String = "", length: Int? = nil
  ) -> String {
    "\(method) \(path) HTTP/1.1\r\nHost: x\r\n\(lines)"
      + (length.map { "Content-Length: \($0)\r\n" } ?? "") + "\r\n"
  }

  @Test func says100ContinueAtOnce() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = try RawConnection(daemon.socketPath)
      let lines = "Expect: 100-continue\r\nConnection: close\r\n"
      try await client.send(
        Self.head("POST", Route.imageGenerations, lines, length: Self.json.utf8.count))
      let first = String(decoding: try await client.receive(), as: UTF8.self)
      #expect(first.hasPrefix("HTTP/1.1 100 Continue\r\n"))
      try await client.send(Self.json)
      #expect(try await client.answer().status == 200)
      // Nobody is asked for a body that is refused.
      let large = try RawConnection(daemon.socketPath)
      try await large.send(
        Self.head("POST", Route.imageGenerations, "Expect: 100-continue\r\n", length: 2 << 20))
      let answer = try await large.answer()
      #expect(answer.status == 413 && answer.headers["connection"] == "close")
    }
  }

  @Test func answersWhoeverStopsSending() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = try RawConnection(daemon.socketPath)
      try await client.send(
        Self.head("POST", Route.imageGenerations, length: Self.json.utf8.count) + Self.json)
      client.finishSending()
      #expect(await eventually { engine.record.requests.count == 1 })
      // It has not hung up: its job goes on.
      try await Task.sleep(for: .milliseconds(100))
      engine.release()
      #expect(try await client.answer().status == 200)
      #expect(engine.record.cancelled == 0)

      let several = try RawConnection(daemon.socketPath)
      try await several.send(
        Self.head("GET", Route.health) + Self.head("GET", Route.models)
          + Self.head("GET", Route.status))
      several.finishSending()
      let answers = try await several.receiveAll()
      #expect(answers.ranges(of: "HTTP/1.1 200 OK").count == 3)
      #expect(answers.contains(#""connections":"#))

      let silent = try RawConnection(daemon.socketPath)
      silent.finishSending()
      #expect(try await silent.receiveAll().isEmpty)
    }
  }

  @Test func aRequestThatIsCutShortIsRefused() async throws {
    try await TestDaemon.serving { daemon async throws in
      for text in [
        Self.head("POST", Route.imageGenerations, length: 100) + "{",
        Self.head("POST", Route.imageGenerations, "Transfer-Encoding: chunked\r\n") + "5\r\n{",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n", "GET",
      ] {
        let client = try RawConnection(daemon.socketPath)
        try await client.send(text)
        client.finishSending()
        let answer = try await client.answer()
        #expect(answer.status == 400 && answer.code == "invalid_request", "\(text): \(answer)")
      }
    }
  }

  @Test func answersHEADWithoutABody() async throws {
    try await TestDaemon.serving { daemon async throws in
      for path in [
        Route.health, Route.ready, Route.models, Route.status, Route.metrics, Route.peels,
        Route.jobs, Route.models + "/fake",
      ] {
        let client = try RawConnection(daemon.socketPath)
        // The second request shows that there was no body between.
        try await client.send(Self.head("HEAD", path))
        try await client.send(Self.head("GET", Route.health, "Connection: close\r\n"))
        let text = try await client.receiveAll()
        let heads = text.components(separatedBy: "\r\n\r\n")
        #expect(heads.count == 3 && heads[0].hasPrefix("HTTP/1.1 200 OK\r\n"), "\(path)")
        #expect(heads[1].hasPrefix("HTTP/1.1 200 OK\r\n") && heads[2] == #"{"status":"ok"}"#)
        let get = try await RawConnection(daemon.socketPath).exchange("GET", path)
        let length = RawConnection.parse(heads[0] + "\r\n\r\n").headers["content-length"]
        if path == Route.models || path == Route.health {
          #expect(length == "\(get.body.utf8.count)", "\(path)")
        }
        #expect(length != nil && length != "0")
      }
      for (path, status) in [("/nowhere", 404), (Route.imageGenerations, 405)] {
        let answer = try await RawConnection(daemon.socketPath).exchange("HEAD", path)
        #expect(answer.status == status && answer.body.isEmpty)
      }
    }
  }

  @Test func saysWhichMethodsAPathHas() async throws {
    try await TestDaemon.serving { daemon async throws in
      for served in Route.served {
        let path = served.path.replacing("{id}", with: "x").replacing("{name}", with: "x")
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "PROPFIND"]
        where !served.methods.contains(method) {
          let answer = try await RawConnection(daemon.socketPath).exchange(method, path)
          #expect(answer.status == 405 && answer.code == "method_not_allowed", "\(method) \(path)")
          let allowed = Set((answer.headers["allow"] ?? "").split(separator: ", ").map(String.init))
          #expect(allowed.subtracting(["HEAD"]) == Set(served.methods), "\(method) \(path)")
          #expect(allowed.contains("HEAD") == served.methods.contains("GET"))
        }
      }
    }
  }

  @Test(arguments: [
    "zz\r\n", "-5\r\nhello\r\n", "5\r\nhelloworld\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFFFFF\r\nx",
    "0x5\r\nhello\r\n", "5 5\r\nhello\r\n", "\r\n", "5\nhello\n", " 5\r\nhello\r\n",
  ])
  func badChunksAreBadRequests(_ chunks: String) async throws {
    let log = RecordedLog()
    try await TestDaemon.serving(log: log) { daemon async throws in
      for (path, type) in [
        (Route.imageGenerations, "application/json"),
        (Route.imageEdits, "multipart/form-data; boundary=x"),
        (Route.peels + "?name=a", "application/octet-stream"),
      ] {
        let client = try RawConnection(daemon.socketPath)
        try await client.send(
          Self.head("POST", path, "Transfer-Encoding: chunked\r\nContent-Type: \(type)\r\n"))
        try await client.send(chunks)
        client.finishSending()
        let answer = try await client.answer()
        #expect(answer.status == 400 && answer.code == "invalid_request", "\(path): \(answer)")
      }
      #expect(try await daemon.get(Route.peels).body == #"{"data":[],"object":"list"}"#)
      #expect(try await daemon.isAlive)
    }
    #expect(!log.lines.contains { $0.level >= .warning }, "\(log.lines)")
  }

  @Test func refusesCompressedBodies() async throws {
    try await TestDaemon.serving { daemon async throws in
      for path in [Route.imageGenerations, Route.imageEdits, Route.peels + "?name=a"] {
        let type =
          path == Route.imageEdits ? "multipart/form-data; boundary=x" : "application/json"
        let client = try RawConnection(daemon.socketPath)
        try await client.send(
          Self.head(
            "POST", path,
            "Connection: close\r\nContent-Encoding: gzip\r\nContent-Type: \(type)\r\n", length: 4))
        try await client.send([0x1F, 0x8B, 8, 0])
        let answer = try await client.answer()
        #expect(answer.status == 415 && answer.code == "unsupported_media_type")
        #expect(answer.body.contains("gzip"))
      }
    }
  }

  @Test func refusesHeadsThatAreTooLargeOrNone() async throws {
    try await TestDaemon.serving { daemon async throws in
      let many = (0..<5000).map { "X-\($0): 1\r\n" }.joined()
      let cases: [(String, Int, String)] = [
        (Self.head("GET", Route.health, many), 413, "request_too_large"),
        (
          Self.head("GET", Route.health + "?" + String(repeating: "a&", count: 30_000)), 413,
          "request_too_large"
        ),
        ("hello\r\n\r\n", 400, "invalid_request"),
        ("GET /healthz HTTP/9.9\r\n\r\n", 400, "invalid_request"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", 400, "invalid_request"),
        (
          "POST /v1/peels HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400,
          "invalid_request"
        ),
        (
          Self.head("GET", Route.health, "Host: y\r\nConnection: close\r\n"), 400,
          "invalid_request"
        ),
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "invalid_request"),
      ]
      for (text, status, code) in cases {
        let client = try RawConnection(daemon.socketPath)
        try await client.send(text)
        let answer = try await client.answer()
        #expect(answer.status == status && answer.code == code, "\(text.prefix(80)): \(answer)")
      }
      #expect(try await daemon.isAlive)
    }
  }

  /// A client of HTTP/1.0 knows neither chunks nor connections that stay.
  @Test func answersHTTP10() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = try RawConnection(daemon.socketPath)
      try await client.send("GET /healthz HTTP/1.0\r\n\r\n")
      let answer = try await client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.0 200 OK") && answer.hasSuffix(#"{"status":"ok"}"#))
      let body = #"{"prompt":"p","stream":true}"#
      let stream = try RawConnection(daemon.socketPath)
      try await stream.send(
        "POST \(Route.imageGenerations) HTTP/1.0\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
          + body)
      let events = try await stream.receiveAll()
      #expect(events.hasPrefix("HTTP/1.0 200 OK") && !events.lowercased().contains("chunked"))
      #expect(events.contains("event: image_generation.completed") && events.hasSuffix("\n\n"))
    }
  }

  /// What nobody reads is thrown away, and the connection stays good for the next request.
  @Test func keepsAConnectionAfterARefusal() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = try RawConnection(daemon.socketPath)
      let body = String(repeating: "x", count: 200_000)
      let wrongType = "Content-Type: text/plain\r\n"
      try await client.send(
        Self.head("POST", Route.imageGenerations, wrongType, length: body.utf8.count) + body)
      try await client.send(Self.head("GET", Route.models, length: 5) + "hello")
      try await client.send(Self.head("PUT", Route.models, length: 5) + "hello")
      try await client.send(
        Self.head("POST", Route.imageGenerations, "Connection: close\r\n", length: 2) + "{}")
      let answers = try await client.receiveAll()
      for status in [" 415 ", " 200 ", " 405 ", " 400 "] {
        #expect(answers.contains("HTTP/1.1\(status)"), "\(answers)")
      }
    }
  }

  /// A large one is not waited for; whoever goes on sending finds the answer when that fails.
  @Test func readsLittleOfALargeBodyThatIsRefused() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = try RawConnection(daemon.socketPath)
      let length = 8 << 20
      try await client.send(Self.head("POST", Route.imageGenerations, length: length))
      var sent = 0
      while sent < length, (try? await client.send(String(repeating: "x", count: 1 << 14))) != nil {
        sent += 1 << 14
      }
      // What was read and thrown away, and what lay in the socket.
      #expect(sent < 2 << 20)
      let answer = try await client.answer()
      #expect(answer.status == 413 && answer.headers["connection"] == "close", "\(answer)")
    }
  }

  /// What waits behind a request is in memory, so that it may not be any number.
  @Test func takesSoManyRequestsInARow() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let first =
        Self.head("POST", Route.imageGenerations, length: Self.json.utf8.count) + Self.json
      for (count, answered) in [(30, 32), (200, 1)] {
        engine.hold()
        let client = try RawConnection(daemon.socketPath)
        try await client.send(
          first + String(repeating: Self.head("GET", Route.health), count: count)
            + Self.head("GET", Route.health, "Connection: close\r\n"))
        try await Task.sleep(for: .milliseconds(50))
        engine.release()
        let answers = try await client.receiveAll()
        #expect(answers.ranges(of: "HTTP/1.1 200 OK").count == answered, "\(answers)")
        #expect(answers.ranges(of: "connection: close").count == 1)
        #expect(try await daemon.isAlive)
      }
    }
  }

  @Test func aBodyOfCrumbsIsRefused() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = try RawConnection(daemon.socketPath)
      try await client.send(
        Self.head("POST", Route.imageGenerations, "Transfer-Encoding: chunked\r\n"))
      // As much as a socket takes at once.
      try await client.send(String(repeating: "1\r\n \r\n", count: 10_000))
      let answer = try await client.answer()
      #expect(answer.status == 400 && answer.body.contains("pieces of a few bytes"))
      #expect(try await daemon.isAlive)
    }
  }

  @Test func hangUpsAreNoErrors() async throws {
    let log = RecordedLog()
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine, log: log) { daemon async throws in
      let bytes = TestPeel.bytes()
      for text in [
        "GET", Self.head("GET", Route.health), Self.head("POST", Route.imageGenerations, length: 9),
        Self.head("POST", Route.imageGenerations, length: Self.json.utf8.count) + Self.json,
        Self.head("POST", Route.imageGenerations, "Transfer-Encoding: chunked\r\n") + "4\r\n{",
        Self.head("POST", Route.peels + "?name=a", length: bytes.count) + "x",
        Self.head(
          "POST", Route.imageEdits, "Content-Type: multipart/form-data; boundary=x\r\n", length: 99)
          + "--x",
      ] {
        let client = try RawConnection(daemon.socketPath)
        try await client.send(text)
        try await Task.sleep(for: .milliseconds(20))
        client.hangUp()
      }
      #expect(
        try await eventually {
          try await daemon.get(Route.status).body.contains(#""connections":1,"#)
        })
      engine.release()
    }
    #expect(!log.lines.contains { $0.level >= .warning }, "\(log.lines)")
  }
}
