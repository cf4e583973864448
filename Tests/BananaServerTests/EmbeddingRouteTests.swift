import BananaAPI
import BananaServer
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
import Testing
import Weights

/// Embeddings over a socket: installed as peels, used by writing their names.
@Suite(.timeLimit(.minutes(5))) struct EmbeddingRouteTests {
  private func embedding(
    _ key: String = "emb_params", vectors: Int = 2, metadata: [String: String] = [:]
  ) -> [UInt8] {
    let numbers = [Float](repeating: 0.5, count: vectors * 768)
    return SafetensorsWriter.bytes(
      [
        .init(
          name: key, type: .float32, shape: [vectors, 768],
          bytes: numbers.withUnsafeBytes { Array($0) })
      ], metadata: metadata)
  }

  private func install(
    _ name: String, _ file: [UInt8], on daemon: TestDaemon
  ) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath).exchange(
      "POST", "\(Route.peels)?name=\(name)", body: file)
  }

  private func draw(_ fields: String, on daemon: TestDaemon) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath).exchange(
      "POST", Route.imageGenerations, body: Array("{\(fields)}".utf8))
  }

  private func decode<Value: Decodable>(_ type: Value.Type, _ answer: RawConnection.Answer) throws
    -> Value
  {
    try JSONDecoder().decode(type, from: Data(answer.body.utf8))
  }

  @Test func aPromptNamesWhatIsInstalled() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let made = try await install("easynegative", embedding(), on: daemon)
      #expect(made.status == 201, "\(made.body)")
      let info = try decode(PeelInfo.self, made)
      #expect(info.vectors == 2 && info.rank == 0 && info.triggerWords == ["easynegative"])
      #expect(info.recipe == nil)
      #expect(try await install("toy", embedding("<cat>", vectors: 1), on: daemon).status == 201)
      #expect(try await install("pixel-art", TestPeel.bytes(), on: daemon).status == 201)

      let answer = try decode(
        ImageGenerationResponse.self,
        try await draw(
          #""prompt":"a <cat>, pixel-art","negative_prompt":"(EasyNegative:1.2), fog""#,
          on: daemon))
      #expect(
        answer.embeddings == [
          AppliedEmbedding(name: "toy", vectors: 1),
          AppliedEmbedding(name: "easynegative", vectors: 2),
        ])
      #expect(answer.peels == nil && answer.warnings == [])
      #expect(engine.record.requests[0].words.map(\.name) == ["toy", "easynegative"])
      #expect(engine.record.requests[0].peels.isEmpty)

      let plain = try decode(
        ImageGenerationResponse.self, try await draw(#""prompt":"a cat""#, on: daemon))
      #expect(plain.embeddings == nil && engine.record.requests[1].words.isEmpty)

      func refusal(_ fields: String) async throws -> (ErrorCode, String?, String) {
        let answer = try await draw(fields, on: daemon)
        let error = try decode(ErrorBody.self, answer).error
        return (error.code, error.param, error.message)
      }
      let asPeel = try await refusal(#""prompt":"p","peels":["easynegative"]"#)
      #expect(asPeel.0 == .invalidRequest && asPeel.1 == "peels")
      #expect(asPeel.2.contains("write its name into prompt"))
      let unknown = try await refusal(#""prompt":"p","negative_prompt":"embedding:easy""#)
      #expect(unknown.0 == .peelNotFound && unknown.1 == "negative_prompt")
      #expect(unknown.2.contains("easynegative, toy"))
      let lora = try await refusal(#""prompt":"embedding:pixel-art""#)
      #expect(lora.0 == .invalidRequest && lora.2.contains("name it in peels"))

      let gone = try await RawConnection(daemon.socketPath).exchange(
        "DELETE", Route.peel("easynegative"))
      #expect(gone.status == 200)
      let word = try await draw(#""prompt":"easynegative""#, on: daemon)
      #expect(try decode(ImageGenerationResponse.self, word).embeddings == nil)
    }
  }

  @Test func whatDoesNotFitIsToldOrRefused() async throws {
    let other = FakeEngine(name: "other")
    let models = [InstalledModel(of: FakeEngine()), InstalledModel(of: other)]
    @Sendable func engine() -> any PictureEngine { FakeEngine() }
    try await TestDaemon.serving(models: models, makeEngine: engine) { daemon async throws in
      let file = embedding(metadata: ["banana.base_sha256": "other"])
      let made = try await install("cat", file, on: daemon)
      #expect(made.status == 201, "\(made.body)")
      #expect(try decode(PeelInfo.self, made).models == ["other"])
      let word = try decode(
        ImageGenerationResponse.self,
        try await draw(#""model":"fake","prompt":"a cat""#, on: daemon))
      #expect(word.embeddings == nil)
      #expect(
        word.warnings.count == 1 && word.warnings[0].contains("\"cat\" was read as any other"))
      let meant = try await draw(#""model":"fake","prompt":"a <cat>""#, on: daemon)
      let error = try decode(ErrorBody.self, meant).error
      #expect(meant.status == 422 && error.code == .peelInvalid && error.param == "prompt")
      let none = try await install(
        "dog", embedding(metadata: ["banana.base_sha256": "third"]), on: daemon)
      #expect(none.status == 422)
      let pickle = try await install("pt", [0x50, 0x4B, 3, 4, 0, 0, 0, 0], on: daemon)
      #expect(pickle.status == 422 && pickle.body.contains("Convert it to .safetensors"))
    }
  }

  /// A private one is its owner's alone, and one that a job holds survives its removal.
  @Test func nobodyElseSeesIt() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let shared = try await RawConnection(daemon.adminSocketPath).exchange(
        "POST", "\(Route.peels)?name=sharp", body: embedding(vectors: 3))
      #expect(shared.status == 201)
      #expect(try await install("sharp", embedding(vectors: 1), on: daemon).status == 201)
      let own = try decode(
        ImageGenerationResponse.self, try await draw(#""prompt":"sharp""#, on: daemon))
      #expect(own.embeddings == [AppliedEmbedding(name: "sharp", vectors: 1)])
    }
  }
}
