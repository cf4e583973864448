import BananaAPI
import BananaSDK
import BananaServer
import BananaTesting
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(5))) struct PeelsTests {
  @Test func installsShowsAndRemoves() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let file = daemon.socketPath + ".safetensors"
      try Data(TestPeel.bytes(metadata: ["modelspec.title": "Pixels"]))
        .write(to: URL(filePath: file))
      let made = try await client.installPeel(from: file, named: "pixel-art")
      #expect(made.title == "Pixels" && made.scope == .private)
      #expect(try await client.peels().map(\.name) == ["pixel-art"])
      #expect(try await client.peel("pixel-art") == made)
      let removal = try await client.removePeel("pixel-art", timeoutSeconds: 0)
      #expect(removal == PeelRemoval(name: "pixel-art", inUse: false))
      #expect(try await client.peels() == [])
    }
  }

  @Test func drawsWithThem() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let file = daemon.socketPath + ".safetensors"
      try Data(TestPeel.bytes()).write(to: URL(filePath: file))
      let peel = try await client.installPeel(from: file, named: "a")
      var request = ImageGenerationRequest(prompt: "p")
      request.peels = [PeelReference(name: "a", strength: 0.5)]
      _ = try await client.generate(request)
      let use = try #require(engine.record.requests.first?.peels.first)
      #expect(use.peel.sha256 == peel.sha256 && use.strength == 0.5)
      request.peels = [PeelReference(name: "b")]
      let error = await #expect(throws: BananaError.self) { try await client.generate(request) }
      #expect(error?.code == .peelNotFound)
    }
  }

  @Test func givesReasons() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let file = daemon.socketPath + ".safetensors"
      let unreadable = await #expect(throws: BananaError.self) {
        try await client.installPeel(from: file, named: "a")
      }
      #expect(
        unreadable == .unreadableFile(path: file, reason: "there is no such file"))
      try Data("no peel".utf8).write(to: URL(filePath: file))
      for (name, code) in [("a", ErrorCode.peelInvalid), ("Ä/b", .invalidRequest)] {
        let error = await #expect(throws: BananaError.self) {
          try await client.installPeel(from: file, named: name)
        }
        #expect(error?.code == code && error?.retryAfter == nil)
      }
      let missing = await #expect(throws: BananaError.self) { try await client.removePeel("a") }
      #expect(missing?.code == .peelNotFound)
    }
  }
}
