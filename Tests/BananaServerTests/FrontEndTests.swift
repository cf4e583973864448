import BananaAPI
import BananaServer
import BananaTesting
import Diffusion
import FoundationEssentials
import Imaging
import Models
import Serving
import Testing

/// What clients send that were made for other servers, over the socket.
@Suite(.timeLimit(.minutes(5))) struct FrontEndTests {
  @Test func drawsTheNearestSizeAndSaysSo() async throws {
    try await TestDaemon.serving { daemon async throws in
      for (asked, drawn) in [
        ("1024x1024", "512x512"), ("1792x1024", "512x512"), ("300x300", "256x256"),
        ("256x512", "512x512"), ("1x1", "256x256"), ("9000000000000000000x1", "512x512"),
      ] {
        let answer = try await answer(to: #"{"prompt":"p","size":"\#(asked)"}"#, from: daemon)
        #expect(answer.size == drawn, "\(asked)")
        #expect(answer.warnings.count == 1 && answer.warnings[0].contains(asked), "\(asked)")
      }
      for exact in ["256x256", "auto", ""] {
        let body = #"{"prompt":"p","size":"\#(exact)","strict_size":true}"#
        #expect(try await answer(to: body, from: daemon).warnings == [])
      }
    }
  }

  @Test func answersWithADataURL() async throws {
    try await TestDaemon.serving { daemon async throws in
      let body = #"{"prompt":"p","response_format":"url"}"#
      let raw = try await post(body, to: daemon).body
      #expect(raw.contains(#""url":"data:image/png;base64,"#) && !raw.contains("b64_json"))
      let image = try await answer(to: body, from: daemon).data[0]
      #expect(Array(image.png.prefix(8)) == TestPattern.signature)
    }
  }

  @Test func drawsARandomSeedAndTellsIt() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let one = try await answer(to: #"{"prompt":"p","seed":-1}"#, from: daemon)
      let other = try await answer(to: #"{"prompt":"p","seed":-1}"#, from: daemon)
      #expect(engine.record.requests.map(\.seed) == [one.data[0].seed, other.data[0].seed])
      #expect(one.data[0].seed != other.data[0].seed)
    }
  }

  @Test func warnsOfWhatMeansNothing() async throws {
    try await TestDaemon.serving { daemon async throws in
      func warnings(_ fields: String) async throws -> [String] {
        try await answer(to: #"{"prompt":"p",\#(fields)}"#, from: daemon).warnings
      }
      for quality in ["standard", "hd", "low", "medium", "high", "xhigh", "max"] {
        #expect(try await warnings(#""quality":"\#(quality)""#).count == 1)
      }
      #expect(try await warnings(#""style":"natural","output_compression":80"#).count == 2)
      #expect(try await warnings(#""complexity":"high","svg":{"model":"x"}"#).count == 2)
      let silent = #""quality":"auto","user":"u","safety_identifier":"s","moderation":"low""#
      #expect(try await warnings(silent) == [])
      let nulls = #""n":null,"quality":null,"style":null,"frame_count":null,"model":null"#
      #expect(try await warnings(nulls) == [])
    }
  }

  @Test func knowsModelsByOtherNames() async throws {
    var configuration = DaemonConfiguration()
    configuration.modelAliases = ModelAliases(["dall-e-3": "fake", "gpt-image-1": "fake"])
    try await TestDaemon.serving(configuration: configuration) { daemon async throws in
      for name in ["dall-e-3", "gpt-image-1", "fake", ""] {
        let answer = try await answer(to: #"{"prompt":"p","model":"\#(name)"}"#, from: daemon)
        #expect(answer.model == "fake")
      }
      let other = try await post(#"{"prompt":"p","model":"flux"}"#, to: daemon)
      #expect(other.status == 404 && other.body.contains("dall-e-3"))
      let list = try JSONDecoder().decode(
        ModelList.self, from: Data(try await get("/v1/models", from: daemon).body.utf8))
      #expect(list.data.map(\.id) == ["fake", "dall-e-3", "gpt-image-1"])
      #expect(list.data.map(\.aliasOf) == [nil, "fake", "fake"])
      let one = try JSONDecoder().decode(
        ModelInfo.self, from: Data(try await get("/v1/models/dall-e-3", from: daemon).body.utf8))
      #expect(one.id == "dall-e-3" && one.aliasOf == "fake" && one.sizes.count == 2)
    }
  }

  @Test func findsAModelWhoseNameHasASlash() async throws {
    var configuration = DaemonConfiguration()
    configuration.modelAliases = ModelAliases(["org/flux 1": "fake"])
    try await TestDaemon.serving(configuration: configuration) { daemon async throws in
      let answer = try await get("/v1/models/org%2Fflux%201", from: daemon)
      #expect(answer.status == 200 && answer.body.contains(#""id":"org/flux 1""#))
    }
  }

  @Test func takesAnAliasWithoutARestart() async throws {
    try await TestDaemon.serving { daemon async throws in
      let body = #"{"prompt":"p","model":"dall-e-3"}"#
      #expect(try await post(body, to: daemon).status == 404)
      var configuration = DaemonConfiguration()
      configuration.modelAliases = ModelAliases(["dall-e-3": "fake"])
      await daemon.daemon.apply(configuration)
      #expect(try await post(body, to: daemon).status == 200)
    }
  }

  @Test func changesTheFirstOfSeveralImages() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      var form = TestForm()
      form.addFile("image[]", try Self.png(4))
      form.addFile("image[]", try Self.png(8))
      form.addFile("image[]", try Self.png(8))
      form.addFile("markup", try Self.png(4))
      for (name, value) in [
        ("prompt", "p"), ("n", ""), ("size", "1024x1024"), ("seed", "-1"), ("steps", "3"),
        ("stream", "False"), ("store", "null"), ("model", ""), ("strength", "null"),
        ("input_fidelity", "high"), ("svg[model]", "m"), ("svg[reasoning][effort]", "low"),
        ("frame_count", ""), ("safety_identifier", "me"),
      ] { form.add(name, value) }
      let answer = try await form.post(to: daemon)
      try #require(answer.status == 200, "\(answer.body)")
      let response = try JSONDecoder().decode(
        ImageGenerationResponse.self, from: Data(answer.body.utf8))
      let request = try #require(engine.record.requests.first)
      // The first has one colour, and is fitted to the model.
      #expect(request.image(.source)?.image.width == 512 && request.strength == 0.6)
      #expect(request.count == 1 && request.steps == 3 && request.size.width == 512)
      #expect(
        response.warnings.map { $0.split(separator: " means")[0].split(separator: " is not")[0] }
          == [
            "size \"1024x1024\"", "image[] after the first", "markup", "input_fidelity", "svg",
          ])
    }
  }

  @Test func saysWhereTheAPIIs() async throws {
    try await TestDaemon.serving { daemon async throws in
      for (path, hint) in [
        ("/images/generations", "/v1/images/generations? The client's base URL"),
        ("/v1/v1/images/generations", "/v1/images/generations?"),
        ("/openai/images/edits", "/v1/images/edits?"), ("/models", "/v1/models?"),
        ("/v1/chat/completions", "only draws pictures"), ("/sdapi/v1/txt2img", "AUTOMATIC1111"),
        ("/v1/images/variations", "/v1/images/edits instead"), ("/prompt", "ComfyUI"),
      ] {
        let answer = try await post("{}", to: daemon, path: path)
        #expect(answer.status == 404 && answer.body.contains(hint), "\(path): \(answer.body)")
      }
      for path in ["/v1/models/", "/v1//models", "/v1/models/fake/"] {
        #expect(try await get(path, from: daemon).status == 200, "\(path)")
      }
      let slash = try await post(#"{"prompt":"p"}"#, to: daemon, path: "/v1/images/generations/")
      #expect(slash.status == 200)
      #expect(try await get("/v1/images/generations/", from: daemon).status == 405)
    }
  }

  private static func png(_ side: Int) throws -> [UInt8] {
    try PNG.encode(Pixels(width: side, height: side, filledWith: .white))
  }

  private func get(_ path: String, from daemon: TestDaemon) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath).exchange("GET", path)
  }

  private func post(
    _ body: String, to daemon: TestDaemon, path: String = Route.imageGenerations
  ) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath).exchange("POST", path, body: Array(body.utf8))
  }
}
