import BananaAPI
import BananaTesting
import FoundationEssentials
import Testing

/// Damaged input over a real socket: every answer is well formed, and the daemon lives.
@Suite(.timeLimit(.minutes(5))) struct FuzzTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func survivesDamagedJSON(_ seed: UInt64) async throws {
    let original = Array(
      #"{"prompt":"a red apple","n":1,"size":"256x256","seed":7,"steps":2}"#.utf8)
    let tokens = [
      "null", "{", "}", "\"", "\\", "\\ud800", "1e999", "-", ",", ":", "\"n\":", "\u{FEFF}", "[",
      "\"stream\":true,", "99999999999999999999",
    ]
    var mutator = Mutator(seed: seed, tokens: tokens)
    try await TestDaemon.serving { daemon async throws in
      for round in 0..<150 {
        let body = mutator.mutate(original)
        let answer = try await RawConnection(daemon.socketPath)
          .exchange("POST", Route.imageGenerations, body: body)
        let name = Comment(rawValue: "seed \(seed), round \(round)")
        #expect([200, 400, 404, 413].contains(answer.status), name)
        if answer.status != 200 {
          let error = try? JSONDecoder().decode(WireError.self, from: Data(answer.body.utf8))
          #expect(error != nil, name)
        }
      }
      #expect(try await daemon.isAlive)
    }
  }

  @Test(arguments: [4, 5] as [UInt64])
  func survivesDamagedHTTP(_ seed: UInt64) async throws {
    let body = Array(#"{"prompt":"a red apple"}"#.utf8)
    let original = RawConnection.request("POST", Route.imageGenerations, body: body)
    let tokens = [
      "\r\n", "\r\n\r\n", "HTTP/1.1", "Content-Length: 99999999999999999999\r\n", "\0",
      "Transfer-Encoding: chunked\r\n", " ", ":", "GET / HTTP/1.1\r\n\r\n", "%00",
    ]
    var mutator = Mutator(seed: seed, tokens: tokens)
    try await TestDaemon.serving { daemon async throws in
      for _ in 0..<150 {
        let connection = try RawConnection(daemon.socketPath)
        // The daemon may close in the middle of what it cannot read.
        try? await connection.send(mutator.mutate(original))
        connection.hangUp()
      }
      #expect(
        try await eventually {
          try await RawConnection(daemon.socketPath).exchange("GET", Route.status).body
            .contains(#""connections":1,"#)
        })
    }
  }
}
