import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
import Testing

/// The queue, as clients see it.
@Suite(.timeLimit(.minutes(5))) struct JobTests {
  private static func request(_ prompt: String, stream: Bool = false) -> [UInt8] {
    let body = Array(#"{"prompt":"\#(prompt)","seed":1,"stream":\#(stream)}"#.utf8)
    return RawConnection.request("POST", Route.imageGenerations, body: body)
  }

  /// Sends without waiting for the answer.
  private static func begin(
    _ prompt: String, stream: Bool = false, at daemon: TestDaemon
  ) async throws -> RawConnection {
    let connection = try RawConnection(daemon.socketPath)
    try await connection.send(request(prompt, stream: stream))
    return connection
  }

  private static func status(of daemon: TestDaemon) async throws -> DaemonStatus {
    let answer = try await RawConnection(daemon.socketPath).exchange("GET", Route.status)
    return try JSONDecoder().decode(DaemonStatus.self, from: Data(answer.body.utf8))
  }

  @Test func drawsFirstComeFirstServed() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      var connections: [RawConnection] = []
      for index in 0..<4 {
        connections.append(try await Self.begin("p\(index)", at: daemon))
        #expect(
          try await eventually {
            let status = try await Self.status(of: daemon)
            return status.running != nil && status.queueDepth == index
          })
      }
      engine.release()
      for connection in connections {
        #expect(RawConnection.parse(try await connection.receiveAll()).status == 200)
      }
      #expect(engine.record.requests.map(\.prompt) == ["p0", "p1", "p2", "p3"])
    }
  }

  @Test func saysBusyWhenTheQueueIsFull() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine, configuration: .init(waitingJobs: 2)) {
      daemon async throws in
      let running = try await Self.begin("running", at: daemon)
      #expect(await eventually { engine.record.requests.count == 1 })
      let waiting = [
        try await Self.begin("a", at: daemon), try await Self.begin("b", stream: true, at: daemon),
      ]
      #expect(try await eventually { try await Self.status(of: daemon).queueDepth == 2 })

      for stream in [false, true] {
        let refused = try await Self.begin("c", stream: stream, at: daemon)
        let answer = RawConnection.parse(try await refused.receiveAll())
        #expect(answer.status == 503)
        #expect(answer.body.contains(#""code":"busy""#))
        #expect(Int(answer.headers["retry-after"] ?? "") ?? 0 >= 1)
        #expect(answer.headers["x-should-retry"] == "true")
      }
      for connection in waiting + [running] { connection.hangUp() }
      #expect(await eventually { engine.record.cancelled >= 1 })
    }
  }

  @Test(arguments: [false, true])
  func cancelsWhenTheClientHangsUp(_ stream: Bool) async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = try await Self.begin("gone", stream: stream, at: daemon)
      #expect(await eventually { engine.record.requests.count == 1 })
      client.hangUp()
      #expect(await eventually { engine.record.cancelled == 1 })
      #expect(try await eventually { try await Self.status(of: daemon).running == nil })
      #expect(try await Self.status(of: daemon).finishedJobs == 0)
    }
  }

  @Test func forgetsAWaitingJobWhoseClientHangsUp() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let first = try await Self.begin("first", at: daemon)
      #expect(await eventually { engine.record.requests.count == 1 })
      let gone = try await Self.begin("gone", at: daemon)
      #expect(try await eventually { try await Self.status(of: daemon).queueDepth == 1 })
      gone.hangUp()
      #expect(try await eventually { try await Self.status(of: daemon).queueDepth == 0 })
      let last = try await Self.begin("last", at: daemon)
      engine.release()
      #expect(RawConnection.parse(try await first.receiveAll()).status == 200)
      #expect(RawConnection.parse(try await last.receiveAll()).status == 200)
      #expect(engine.record.requests.map(\.prompt) == ["first", "last"])
    }
  }

  @Test func streamsProgressAndThenPictures() async throws {
    try await TestDaemon.serving { daemon async throws in
      let body = Array(#"{"prompt":"p","n":2,"steps":3,"seed":5,"stream":true}"#.utf8)
      let answer = try await RawConnection(daemon.socketPath)
        .exchange("POST", Route.imageGenerations, body: body)
      #expect(answer.headers["content-type"] == "text/event-stream")
      let names = answer.body.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("event: ") }
      let progress = names.filter { $0 == "event: banana.progress" }
      #expect(progress.count == 7)
      #expect(names.suffix(2).allSatisfy { $0 == "event: image_generation.completed" })
      #expect(answer.body.contains(#""seed":5"#) && answer.body.contains(#""seed":6"#))
      #expect(answer.body.contains(#""stage":"denoise","step":3"#))
      #expect(answer.body.contains(#""job":"job-"#))
    }
  }

  @Test(arguments: [
    (EngineError.lost, 500, "internal_error"),
    (.insufficientMemory(neededBytes: 9, availableBytes: 1), 503, "insufficient_memory"),
    (.generation(.fixedGuidance(2)), 400, "invalid_request"),
    (.generation(.clipSkip(2, maximum: 1)), 400, "invalid_request"),
  ])
  func reportsTheEnginesErrors(_ error: EngineError, _ status: Int, _ code: String) async throws {
    try await TestDaemon.serving(FakeEngine(failure: error)) { daemon async throws in
      let answer = try await post(#"{"prompt":"p"}"#, to: daemon)
      #expect(answer.status == status)
      #expect(answer.body.contains(#""code":"\#(code)""#))
      let streamed = try await post(#"{"prompt":"p","stream":true}"#, to: daemon)
      #expect(streamed.status == 200)
      #expect(streamed.body.contains("event: error\n"))
      #expect(streamed.body.contains(#""code":"\#(code)""#))
      #expect(try await Self.status(of: daemon).running == nil)
    }
  }

  @Test func servesManyRequestsOnOneConnection() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let connection = try RawConnection(daemon.socketPath)
      let body = #"{"prompt":"p"}"#
      for count in 1...5 {
        try await connection.send(
          "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        var text = ""
        while !text.hasSuffix("}") {
          text += String(decoding: try await connection.receive(), as: UTF8.self)
        }
        #expect(RawConnection.parse(text).status == 200)
        #expect(engine.record.finished == count)
      }
    }
  }
}
