import BananaAPI
import BananaSDK
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
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
      #expect(use.sha256 == peel.sha256 && use.strength == 0.5)
      request.peels = [PeelReference(name: "b")]
      let error = await #expect(throws: BananaError.self) { try await client.generate(request) }
      #expect(error?.code == .peelNotFound)
    }
  }

  /// PEFT's folder: its configuration goes with the file, as diffusers writes it into one.
  @Test func installsFolders() async throws {
    try await TestDaemon.serving { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let folder = daemon.socketPath + "-peft"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let bytes = TestPeel.bytes(metadata: ["modelspec.title": "Pixels", "format": "pt"])
      try Data(bytes).write(to: URL(filePath: folder + "/adapter_model.safetensors"))
      func configuration(_ path: String) async throws -> String? {
        let made = try await client.installPeel(from: path, named: "a")
        #expect(made.title == "Pixels" && made.metadata?["format"] == "pt")
        return made.metadata?["lora_adapter_metadata"]
      }
      #expect(try await configuration(folder) == nil)
      let json = #"{"peft_type": "LORA", "r": 2, "lora_alpha": 16, "bias": "none"}"#
      try Data(json.utf8).write(to: URL(filePath: folder + "/adapter_config.json"))
      #expect(try await configuration(folder) == json)
      #expect(try await configuration(folder + "/") == json)
      #expect(try await configuration(folder + "/adapter_model.safetensors") == json)
      try FileManager.default.moveItem(
        atPath: folder + "/adapter_model.safetensors", toPath: folder + "/other.safetensors")
      #expect(try await configuration(folder) == nil)
      try FileManager.default.moveItem(
        atPath: folder + "/other.safetensors", toPath: folder + "/adapter_model.bin")
      let error = await #expect(throws: BananaError.self) {
        try await client.installPeel(from: folder, named: "a")
      }
      #expect(error.map { "\($0)".contains("adapter_model.bin") } == true)
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
