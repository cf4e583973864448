import BananaAPI
import BananaTesting
import FoundationEssentials
import Serving
import Testing

/// `/v1/peels` over a socket.
@Suite(.timeLimit(.minutes(5))) struct PeelRouteTests {
  private func ask(
    _ daemon: TestDaemon, _ method: String, _ path: String, body: [UInt8]? = nil
  ) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath).exchange(method, path, body: body)
  }

  private func decode<Value: Decodable>(_ type: Value.Type, _ answer: RawConnection.Answer) throws
    -> Value
  {
    try JSONDecoder().decode(type, from: Data(answer.body.utf8))
  }

  @Test func installsListsShowsAndRemoves() async throws {
    try await TestDaemon.serving { daemon async throws in
      let bytes = TestPeel.bytes(metadata: ["modelspec.title": "Pixels"])
      #expect(try await ask(daemon, "GET", Route.peels).body == #"{"data":[],"object":"list"}"#)
      let made = try await ask(daemon, "POST", "\(Route.peels)?name=pixel-art", body: bytes)
      #expect(made.status == 201)
      let info = try decode(PeelInfo.self, made)
      #expect(info.title == "Pixels" && info.scope == .private && info.bytes == bytes.count)

      let list = try decode(PeelList.self, try await ask(daemon, "GET", Route.peels))
      #expect(list.data.map(\.name) == ["pixel-art"])
      let shown = try await ask(daemon, "GET", Route.peel("pixel-art"))
      #expect(try decode(PeelInfo.self, shown) == info)

      let gone = try await ask(daemon, "DELETE", Route.peel("pixel-art") + "?timeout_seconds=1")
      #expect(gone.status == 200)
      #expect(try decode(PeelRemoval.self, gone) == PeelRemoval(name: "pixel-art", inUse: false))
      #expect(try await ask(daemon, "GET", Route.peel("pixel-art")).status == 404)
    }
  }

  /// The answer says what was applied, also where it came as events.
  @Test func theAnswerEchoesWhatWasApplied() async throws {
    try await TestDaemon.serving { daemon async throws in
      let made = try await ask(
        daemon, "POST", "\(Route.peels)?name=pixel-art", body: TestPeel.bytes())
      #expect(made.status == 201)
      let request = #"{"prompt": "a", "peels": [{"name": "pixel-art", "strength": 0.5}]"#
      let answer = try decode(
        ImageGenerationResponse.self,
        try await ask(
          daemon, "POST", Route.imageGenerations, body: Array((request + "}").utf8)))
      let expected = [AppliedPeel(name: "pixel-art", strength: 0.5, layers: 1)]
      #expect(answer.peels == expected)
      let streamed = try await ask(
        daemon, "POST", Route.imageGenerations, body: Array((request + #", "stream": true}"#).utf8))
      #expect(streamed.body.contains(#""peels":[{"layers":1,"name":"pixel-art","strength":0.5}]"#))
      let plain = try decode(
        ImageGenerationResponse.self,
        try await ask(
          daemon, "POST", Route.imageGenerations, body: Array(#"{"prompt": "a"}"#.utf8)))
      #expect(plain.peels == nil)
    }
  }

  @Test func takesTheNameFromAHeader() async throws {
    try await TestDaemon.serving { daemon async throws in
      let bytes = TestPeel.bytes()
      let connection = try RawConnection(daemon.socketPath)
      try await connection.send(
        "POST \(Route.peels) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Peel-Name: h\r\n"
          + "Content-Length: \(bytes.count)\r\n\r\n")
      try await connection.send(bytes)
      #expect(RawConnection.parse(try await connection.receiveAll()).status == 201)
    }
  }

  @Test func saysWhatIsWrong() async throws {
    try await TestDaemon.serving { daemon async throws in
      func refusal(
        _ method: String, _ path: String, _ body: [UInt8]? = nil
      ) async throws -> (Int, ErrorCode, String?) {
        let answer = try await ask(daemon, method, path, body: body)
        let error = try decode(ErrorBody.self, answer).error
        return (answer.status, error.code, error.param)
      }
      let peel = TestPeel.bytes()
      let other = TestPeel.bytes(metadata: ["banana.base_sha256": "another"])
      #expect(try await refusal("POST", Route.peels, peel) == (400, .invalidRequest, "name"))
      #expect(
        try await refusal("POST", Route.peels + "?name=..%2Fa", peel)
          == (400, .invalidRequest, "name"))
      #expect(
        try await refusal("POST", Route.peels + "?name=a", other) == (422, .peelInvalid, nil))
      #expect(
        try await refusal("POST", Route.peels + "?name=a", Array("x".utf8))
          == (422, .peelInvalid, nil))
      #expect(try await refusal("GET", Route.peel("a")) == (404, .peelNotFound, "name"))
      #expect(try await refusal("DELETE", Route.peel("a")) == (404, .peelNotFound, "name"))
      #expect(
        try await refusal("DELETE", Route.peel("a") + "?timeout_seconds=301")
          == (400, .invalidRequest, "timeout_seconds"))
      #expect(try await daemon.isAlive)
    }
  }

  @Test func aClientThatGoesAwayLeavesNothing() async throws {
    try await TestDaemon.serving { daemon async throws in
      let bytes = TestPeel.bytes()
      for _ in 0..<5 {
        let connection = try RawConnection(daemon.socketPath)
        let request = RawConnection.request("POST", Route.peels + "?name=a", body: bytes)
        try await connection.send(Array(request.dropLast(bytes.count / 2)))
        connection.hangUp()
      }
      let folder = daemon.socketPath + ".state/peels"
      #expect(
        await eventually {
          let owners = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
          return owners.allSatisfy {
            (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\($0)")) == []
          }
        })
      // Where the daemon has not yet heard of all of them, the room is theirs for a moment.
      #expect(
        try await eventually {
          try await ask(daemon, "POST", Route.peels + "?name=a", body: bytes).status == 201
        })
    }
  }
}
