import BananaAPI
import BananaTesting
import FoundationEssentials
import Imaging
import Logging
import Serving
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What Ann does against Ben, as two real users of one socket. Only root can be both.
@Suite(.timeLimit(.minutes(5)), .enabled(if: Impersonation.isPossible), .serialized)
struct HostileUserTests {
  private static let ann: UInt32 = 61_001
  private static let ben: UInt32 = 61_002

  private static func serving(
    _ configuration: DaemonConfiguration = .init(), engine: FakeEngine = FakeEngine(),
    log: RecordedLog? = nil, _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await TestDaemon.serving(engine, configuration: configuration, log: log) {
      daemon async throws in
      #expect(chmod(daemon.socketPath, 0o666) == 0)
      try await body(daemon)
    }
  }

  private static func head(_ path: String, length: Int, _ type: String = "application/json")
    -> String
  {
    "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: \(type)\r\nContent-Length: \(length)\r\n\r\n"
  }

  private static let form = "multipart/form-data; boundary=x"

  /// Ben is answered, and so is whoever runs the machine.
  private static func expectOthersServed(
    by daemon: TestDaemon, _ sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let health = try await daemon.get(Route.health, uid: ben)
    #expect(health.status == 200, sourceLocation: sourceLocation)
    let drawn = try await daemon.begin("p", #""size":"256x256""#, uid: ben).answer()
    #expect(drawn.status == 200, "\(drawn.body)", sourceLocation: sourceLocation)
    let admin = try await RawConnection(daemon.adminSocketPath).exchange("GET", Route.status)
    #expect(admin.status == 200, sourceLocation: sourceLocation)
  }

  private static func connections(_ count: Int, of daemon: TestDaemon) async throws -> Bool {
    try await eventually {
      try await RawConnection(daemon.adminSocketPath).exchange("GET", Route.status).body
        .contains(#""connections":\#(count),"#)
    }
  }

  /// Waits for the answers to so many of the clients, whichever they are.
  private static func answers(
    _ count: Int, to clients: [RawConnection]
  ) async -> [RawConnection.Answer] {
    var silent = clients
    var answers: [RawConnection.Answer] = []
    _ = await eventually {
      silent.removeAll { client in
        guard let bytes = client.receiveWithoutWaiting(), !bytes.isEmpty else { return false }
        answers.append(RawConnection.parse(String(decoding: bytes, as: UTF8.self)))
        return true
      }
      return answers.count >= count
    }
    return answers
  }

  @Test func nestedFields() async throws {
    try await Self.serving { daemon async throws in
      var form = TestForm()
      form.addFile("image", [1])
      form.add("prompt", "p")
      form.add("peels", String(repeating: "[", count: 30_000))
      var clients: [RawConnection] = []
      for _ in 0..<40 { clients.append(try await form.send(to: daemon, uid: Self.ann)) }
      try await Self.expectOthersServed(by: daemon)
      for client in clients { #expect(try await client.answer().status == 400) }
    }
  }

  /// Files of some kilobytes that become 64 MB each.
  @Test func picturesThatGrow() async throws {
    let pixels = Pixels(width: 2048, height: 2048, filledWith: .clear)
    let png = try PNG.encode(pixels)
    #expect(png.count < 100_000)
    try await Self.serving { daemon async throws in
      var form = TestForm()
      form.addFile("image", png)
      form.add("prompt", "p")
      var clients: [RawConnection] = []
      for _ in 0..<4 { clients.append(try await form.send(to: daemon, uid: Self.ann)) }
      // Her pictures are decoded one after the other, and Ben does not wait for them.
      try await Self.expectOthersServed(by: daemon)
      // What nobody waits for any more is not decoded.
      for client in clients { client.hangUp() }
    }
  }

  /// What is refused for its size or a name is not decoded first.
  @Test func smallThingsFirst() async throws {
    try await Self.serving { daemon async throws in
      for (name, value, code) in [
        ("size", "3x3", "invalid_request"), ("model", "other", "model_not_found"),
        ("peels", #"["none"]"#, "peel_not_found"), ("n", "11", "invalid_request"),
      ] {
        var form = TestForm()
        form.addFile("image", [1, 2, 3])
        form.add("prompt", "p")
        form.add(name, value)
        let answer = try await form.send(to: daemon, uid: Self.ann).answer()
        #expect(answer.code == code, "\(name): \(answer.body)")
      }
    }
  }

  private static func install(
    _ name: String, _ bytes: [UInt8], at daemon: TestDaemon, uid: UInt32
  ) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath, uid: uid)
      .exchange("POST", "\(Route.peels)?name=\(name)", body: bytes)
  }

  /// Files of trigger words, more files than fit, and what Ben sees of them.
  @Test func peelsOfWordsWithoutEnd() async throws {
    var configuration = DaemonConfiguration()
    configuration.peelLimits.peels = 2
    try await Self.serving(configuration) { daemon async throws in
      let words = String(repeating: "word, ", count: 2 << 20)
      let wordy = TestPeel.bytes(metadata: ["modelspec.trigger_phrase": words])
      try await withThrowingTaskGroup(of: RawConnection.Answer.self) { group in
        for _ in 0..<4 {
          group.addTask { try await Self.install("a", wordy, at: daemon, uid: Self.ann) }
        }
        try await Self.expectOthersServed(by: daemon)
        for try await answer in group { #expect(answer.code == "peel_invalid", "\(answer.body)") }
      }
      let long = TestPeel.bytes(
        metadata: ["modelspec.trigger_phrase": String(words.prefix(600_000))])
      for name in ["a", "b"] {
        #expect(try await Self.install(name, long, at: daemon, uid: Self.ann).status == 201)
      }
      let third = try await Self.install("c", TestPeel.bytes(), at: daemon, uid: Self.ann)
      #expect(third.code == "quota_exceeded", "\(third.body)")
      #expect(try await daemon.get(Route.peels, uid: Self.ann).body.utf8.count < 2 * 8192)

      // Hers are none of Ben's, and his of the same name are others.
      #expect(try await daemon.get(Route.peels, uid: Self.ben).body.contains(#""data":[]"#))
      let foreign = try await daemon.begin("p", #""peels":["b"]"#, uid: Self.ben).answer()
      #expect(foreign.code == "peel_not_found")
      let removal = try await RawConnection(daemon.socketPath, uid: Self.ben)
        .exchange("DELETE", Route.peel("b"))
      #expect(removal.code == "peel_not_found")
      #expect(
        try await Self.install("a", TestPeel.bytes(), at: daemon, uid: Self.ben).status == 201)
      let own = try await daemon.begin("p", #""peels":["a"]"#, uid: Self.ben).answer()
      #expect(own.status == 200, "\(own.body)")
    }
  }

  @Test func formsThatAreHalfSent() async throws {
    try await Self.serving { daemon async throws in
      var clients: [RawConnection] = []
      for _ in 0..<30 {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await client.send(Self.head(Route.imageEdits, length: 15 << 20, Self.form))
        clients.append(client)
      }
      // Of 128 MiB she has at most half; the others are refused before they are read.
      let refused = await Self.answers(26, to: clients)
      #expect(refused.allSatisfy { $0.status == 503 && $0.headers["retry-after"] == "1" })
      #expect(refused.count == 26)
      try await Self.expectOthersServed(by: daemon)
      // Ben's own large form is read: it is only no picture.
      var form = TestForm()
      form.addFile("image", [UInt8](repeating: 0, count: 15 << 20))
      form.add("prompt", "p")
      #expect(try await form.send(to: daemon, uid: Self.ben).answer().status == 400)
      for client in clients { client.hangUp() }
      #expect(try await Self.connections(1, of: daemon))
      let again = try RawConnection(daemon.socketPath, uid: Self.ann)
      try await again.send(Self.head(Route.imageEdits, length: 15 << 20, Self.form) + "--y")
      again.finishSending()
      #expect(try await again.answer().status == 400)
    }
  }

  /// The same when nothing says beforehand how much it will be.
  @Test func formsOfUnknownLength() async throws {
    let configuration = DaemonConfiguration(transferBytes: 4 << 20, editPixels: 496 << 10)
    try await Self.serving(configuration) { daemon async throws in
      var clients: [RawConnection] = []
      let chunk = "80000\r\n" + String(repeating: "x", count: 0x80000) + "\r\n"
      for _ in 0..<6 {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        // Of what is refused little is read.
        try? await client.send(
          "POST \(Route.imageEdits) HTTP/1.1\r\nHost: x\r\nContent-Type: \(Self.form)\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n" + chunk)
        clients.append(client)
      }
      var refused = 0
      for client in clients {
        try? await client.send(chunk)
      }
      for client in clients {
        client.finishSending()
        if try await client.answer().status == 503 { refused += 1 }
      }
      #expect(refused >= 2)
      try await Self.expectOthersServed(by: daemon)
      #expect(try await Self.connections(1, of: daemon))
    }
  }

  @Test func bodiesThatDrip() async throws {
    let configuration = DaemonConfiguration(idleTimeout: .seconds(1))
    try await Self.serving(configuration) { daemon async throws in
      var clients: [RawConnection] = []
      for path in [Route.imageGenerations, Route.peels + "?name=a"] {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await client.send(Self.head(path, length: 1000))
        clients.append(client)
      }
      let head = try RawConnection(daemon.socketPath, uid: Self.ann)
      try await head.send("GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
      for _ in 0..<12 {
        for client in clients + [head] { try? await client.send("x") }
        try await Task.sleep(for: .milliseconds(100))
      }
      try await Self.expectOthersServed(by: daemon)
      for client in clients {
        let answer = try await client.answer()
        #expect(answer.status == 408 && answer.code == "request_timeout")
      }
      #expect(try await head.receiveAll().isEmpty)
      #expect(try await Self.connections(1, of: daemon))
    }
  }

  @Test func allConnections() async throws {
    try await Self.serving(.init(connectionsPerUser: 8)) { daemon async throws in
      var clients: [RawConnection] = []
      for _ in 0..<50 { clients.append(try RawConnection(daemon.socketPath, uid: Self.ann)) }
      let refused = await Self.answers(42, to: clients)
      #expect(refused.allSatisfy { $0.status == 429 && $0.headers["retry-after"] == "1" })
      #expect(refused.allSatisfy { $0.code == "quota_exceeded" } && refused.count == 42)
      try await Self.expectOthersServed(by: daemon)
      #expect(try await Self.connections(9, of: daemon))
      clients.removeAll()
      #expect(try await Self.connections(1, of: daemon))
      #expect(try await daemon.get(Route.health, uid: Self.ann).status == 200)
    }
  }

  /// Connections that come and go, as many as there is time for, keep nobody else out.
  @Test func connectionsWithoutEnd() async throws {
    try await Self.serving(.init(connectionsPerUser: 4)) { daemon async throws in
      let flood = Task.detached {
        var held: [RawConnection] = []
        var count = 0
        while !Task.isCancelled {
          // In a full queue it waits, as everybody does.
          let client = try RawConnection(daemon.socketPath, uid: Self.ann)
          try? await client.connected()
          held.append(client)
          if held.count > 64 { held.removeFirst(32) }
          count += 1
        }
        return count
      }
      for _ in 0..<3 { try await Self.expectOthersServed(by: daemon) }
      flood.cancel()
      #expect(try await flood.value > 0)
      #expect(try await Self.connections(1, of: daemon))
      #expect(
        try await eventually {
          try await daemon.get(Route.health, uid: Self.ann).status == 200
        })
    }
  }

  @Test func requestsWithoutEnd() async throws {
    let log = RecordedLog()
    let quotas = Quotas(requestsPerMinute: 5)
    try await Self.serving(.init(quotas: quotas), log: log) { daemon async throws in
      // What is refused counts as well: five, whatever is wrong with them.
      for body in ["", "{", #"{"prompt":1}"#, #"{"a":1}"#, #"{"prompt":"p","n":99}"#] {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await client.send(
          RawConnection.request("POST", Route.imageGenerations, body: Array(body.utf8)))
        #expect(try await client.answer().status == 400)
      }
      for path in [Route.imageGenerations, Route.imageEdits, Route.peels + "?name=a", "/v9"] {
        // Before there is a body.
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await client.send(Self.head(path, length: 1000, Self.form))
        let answer = RawConnection.parse(
          String(decoding: try await client.receive(), as: UTF8.self))
        #expect(answer.status == 429 && answer.code == "quota_exceeded", "\(answer)")
        #expect(Int(answer.headers["retry-after"] ?? "") ?? 0 > 0)
      }
      // She may still look.
      #expect(try await daemon.get(Route.jobs, uid: Self.ann).status == 200)
      try await Self.expectOthersServed(by: daemon)
      for _ in 0..<200 {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        try await client.send("nonsense\r\n\r\n")
        let answer = try await client.answer()
        #expect(answer.status == 400, "\(answer)")
      }
    }
    let hers = log.lines.filter { $0.metadata["account"] == "User \(Self.ann)" }
    // Two if the minute was over in between.
    #expect((1...2).contains(hers.count), "\(hers)")
    #expect(!log.lines.contains { $0.level >= .warning })
  }

  /// Whoever goes on although it is refused gets each answer late, whatever she sends meanwhile;
  /// nobody else does, and nothing waits for her.
  @Test func requestsAfterManyRefusals() async throws {
    let quotas = Quotas(requestsPerMinute: 1)
    let configuration = DaemonConfiguration(closingGrace: .zero, quotas: quotas)
    try await Self.serving(configuration) { daemon async throws in
      // A row that is taken whole.
      func ask(_ count: Int = 30) async throws -> RawConnection {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        let request = "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        try await client.send(String(repeating: request, count: count))
        return client
      }
      let began = ContinuousClock.now
      let crowd = [try await ask(), try await ask(), try await ask(), try await ask()]
      try await Self.expectOthersServed(by: daemon)
      // She may still look.
      #expect(try await daemon.get(Route.jobs, uid: Self.ann).status == 200)
      for client in crowd {
        var text = ""
        while text.ranges(of: "HTTP/1.1 4").count < 30 {
          let bytes = try await client.receive()
          try #require(!bytes.isEmpty)
          text += String(decoding: bytes, as: UTF8.self)
        }
      }
      // What is told at once in a second, and one in half a second on each connection.
      #expect(ContinuousClock.now - began >= RequestRates.lateness * 2)

      // What is late is forgotten with its connection, and told at once when the daemon stops.
      let left = [try await ask(), try await ask()]
      left[0].hangUp()
      let last = try await ask(1)
      #expect(try await Self.connections(7, of: daemon))
      // By then it is read, too.
      try await Task.sleep(for: .milliseconds(200))
      await daemon.beginStopping()
      #expect(try await last.answer().status == 429)
      withExtendedLifetime((crowd, left)) {}
    }
  }

  @Test func answersThatAreNotRead() async throws {
    let configuration = DaemonConfiguration(idleTimeout: .seconds(2))
    let engine = FakeEngine(drawsPixels: true)
    try await Self.serving(configuration, engine: engine) { daemon async throws in
      var clients: [RawConnection] = []
      for isStreamed in [true, false] {
        // More than a socket takes.
        clients.append(
          try await daemon.begin("p", #""n":10,"stream":\#(isStreamed)"#, uid: Self.ann))
      }
      try await Self.expectOthersServed(by: daemon)
      #expect(try await Self.connections(1, of: daemon))
      // Whoever reads a little now and then has no more time for it.
      let slow = try await daemon.begin("p", #""n":10"#, uid: Self.ann)
      var read: [UInt8] = []
      while true {
        let piece = try await slow.receive(atMost: 1000)
        if piece.isEmpty { break }
        read += piece
        try await Task.sleep(for: .milliseconds(30))
      }
      let answer = RawConnection.parse(String(decoding: read, as: UTF8.self))
      #expect(answer.body.utf8.count < Int(answer.headers["content-length"] ?? "") ?? 0)
    }
  }

  /// Requests one behind the other, on many connections, and none of the answers read.
  @Test func requestsInARow() async throws {
    try await Self.serving { daemon async throws in
      let row = String(
        repeating: "GET \(Route.status) HTTP/1.1\r\nHost: x\r\n\r\n", count: 500)
      var clients: [RawConnection] = []
      for _ in 0..<20 {
        let client = try RawConnection(daemon.socketPath, uid: Self.ann)
        // As much as the daemon takes.
        _ = client.sendWithoutWaiting(row)
        clients.append(client)
      }
      try await Self.expectOthersServed(by: daemon)
    }
  }
}
