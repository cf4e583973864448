import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Models
import Serving
import Testing

/// What goes in at the socket, right and wrong.
@Suite(.timeLimit(.minutes(5))) struct RequestTests {
  struct Bad: Sendable, CustomTestStringConvertible {
    var body: String
    var status: Int
    var code: String
    var param: String?
    var testDescription: String { String(body.prefix(40)) }

    init(_ body: String, _ status: Int, _ code: String, _ param: String? = nil) {
      (self.body, self.status, self.code, self.param) = (body, status, code, param)
    }
  }

  static let bad: [Bad] = [
    Bad(#"{"prompt":"p","surprise":1}"#, 400, "invalid_request", "surprise"),
    Bad(#"{"prompt":"p","Seed":1}"#, 400, "invalid_request", "Seed"),
    Bad(#"{"prompt":"p","size":"1024x1024","strict_size":true}"#, 400, "invalid_request", "size"),
    Bad(#"{"prompt":"p","size":"512"}"#, 400, "invalid_request", "size"),
    Bad(#"{"prompt":"p","size":"256x0"}"#, 400, "invalid_request", "size"),
    Bad(#"{"prompt":"p","size":"x"}"#, 400, "invalid_request", "size"),
    Bad(#"{"prompt":"p","size":"99999999999999999999x1"}"#, 400, "invalid_request", "size"),
    Bad(#"{"prompt":"<lora:a:1> p"}"#, 400, "invalid_request", "prompt"),
    Bad(#"{"prompt":"p","negative_prompts":["q"]}"#, 400, "invalid_request", "negative_prompts"),
    Bad(#"{"prompt":"p","negative_prompt":1}"#, 400, "invalid_request", "negative_prompt"),
    Bad(#"{"prompt":"p","sampler":"heun"}"#, 400, "invalid_request", "sampler"),
    Bad(#"{"prompt":"p","spacing":"even"}"#, 400, "invalid_request", "spacing"),
    Bad(#"{"prompt":"p","size":"-256x-256"}"#, 400, "invalid_request", "size"),
    Bad(#"{"prompt":"p","style":"cubist"}"#, 400, "invalid_request", "style"),
    Bad(#"{"prompt":"p","n":0}"#, 400, "invalid_request", "n"),
    Bad(#"{"prompt":"p","n":11}"#, 400, "invalid_request", "n"),
    Bad(#"{"prompt":"p","steps":51}"#, 400, "invalid_request", "steps"),
    Bad(#"{"prompt":"p","guidance":31}"#, 400, "invalid_request", "guidance"),
    Bad(#"{"prompt":"p","clip_skip":0}"#, 400, "invalid_request", "clip_skip"),
    Bad(#"{"prompt":"p","clip_skip":13}"#, 400, "invalid_request", "clip_skip"),
    // One whose text network has nothing to skip.
    Bad(#"{"prompt":"p","clip_skip":2}"#, 400, "invalid_request", "clip_skip"),
    Bad(#"{"prompt":"p","seed":-2}"#, 400, "invalid_request", "seed"),
    Bad(#"{"prompt":"p","response_format":"ftp"}"#, 400, "invalid_request", "response_format"),
    Bad(#"{"prompt":"p","output_format":"jpeg"}"#, 400, "invalid_request", "output_format"),
    Bad(#"{"prompt":"p","partial_images":1}"#, 400, "invalid_request", "partial_images"),
    Bad(
      #"{"prompt":"p","stream":true,"partial_images":4}"#, 400, "invalid_request",
      "partial_images"),
    Bad(#"{"prompt":"p","priority":"royal"}"#, 400, "invalid_request", "priority"),
    Bad(#"{"prompt":"p","deadline_seconds":0}"#, 400, "invalid_request", "deadline_seconds"),
    Bad(#"{"prompt":"p","deadline_seconds":"1"}"#, 400, "invalid_request", "deadline_seconds"),
    Bad(#"{"prompt":"p","store":1}"#, 400, "invalid_request", "store"),
    Bad(#"{"prompt":"p","provenance":"yes"}"#, 400, "invalid_request", "provenance"),
    Bad(#"{"prompt":"p","peels":"a"}"#, 400, "invalid_request", "peels"),
    Bad(#"{"prompt":"p","peels":["a","a"]}"#, 400, "invalid_request", "peels"),
    Bad(
      #"{"prompt":"p","peels":[{"name":"a","strength":5}]}"#, 400, "invalid_request", "peels"),
    Bad(#"{"prompt":"p","peels":["a"]}"#, 404, "peel_not_found", "peels"),
    Bad(#"{"prompt":"p","model":"dall-e-3"}"#, 404, "model_not_found", "model"),
    Bad(#"{"prompt":""}"#, 400, "invalid_request", "prompt"),
    Bad(#"{"prompt":" \n\u0000"}"#, 400, "invalid_request", "prompt"),
    Bad(#"{"prompt":null}"#, 400, "invalid_request", "prompt"),
    Bad(#"{"prompt":["p"]}"#, 400, "invalid_request", "prompt"),
    Bad("{}", 400, "invalid_request", "prompt"),
    Bad("", 400, "invalid_request"), Bad("[]", 400, "invalid_request"),
    Bad("null", 400, "invalid_request"), Bad("{\"prompt\":\"p\"", 400, "invalid_request"),
    Bad(#"{"prompt":"\ud800"}"#, 400, "invalid_request"),
    Bad(String(repeating: "[", count: 100_000), 400, "invalid_request"),
    Bad(
      #"{"prompt":"\#(String(repeating: "x", count: 4001))"}"#, 413, "request_too_large", "prompt"),
    Bad(#"{"prompt":"\#(String(repeating: "x", count: 1 << 20))"}"#, 413, "request_too_large"),
  ]

  @Test func refusesWhatIsWrongAndLives() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      for bad in Self.bad {
        let answer = try await post(bad.body, to: daemon)
        let name = Comment(rawValue: String(bad.body.prefix(60)))
        #expect(answer.status == bad.status, name)
        let body = try JSONDecoder().decode(WireError.self, from: Data(answer.body.utf8))
        #expect(body.error.code == bad.code, name)
        if let param = bad.param { #expect(body.error.param == param, name) }
        #expect(body.error.message.count > 10, name)
        #expect(answer.headers["content-type"] == "application/json", name)
      }
      #expect(engine.record.requests.isEmpty)
      #expect(try await daemon.isAlive)
    }
  }

  @Test func refusesInvalidUTF8AndEndlessBodies() async throws {
    try await TestDaemon.serving { daemon async throws in
      let broken = Array(#"{"prompt":""#.utf8) + [0xFF, 0xC0] + Array(#""}"#.utf8)
      let answer = try await RawConnection(daemon.socketPath)
        .exchange("POST", Route.imageGenerations, body: broken)
      #expect(answer.status == 400)

      let chunked = try RawConnection(daemon.socketPath)
      try await chunked.send(
        "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
          + "Transfer-Encoding: chunked\r\n\r\n")
      let chunk = String(repeating: "x", count: 0x10000)
      for _ in 0..<17 { try await chunked.send("10000\r\n\(chunk)\r\n") }
      try await chunked.send("0\r\n\r\n")
      #expect(RawConnection.parse(try await chunked.receiveAll()).status == 413)
    }
  }

  @Test(arguments: [
    "a red apple", "ein Apfel, süß", "红苹果", "تفاحة حمراء", "\u{1F468}\u{200D}\u{1F680}",
    "e\u{301}\u{301}\u{301}", "\u{202E}elppa", "\u{FFFF}\u{10FFFF}", "a\\\"/\u{2028}b",
    "\u{1F1E9}\u{1F1EA}", "  padded  ",
  ])
  func takesAnyUnicode(_ prompt: String) async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let body = try JSONEncoder().encode(ImageGenerationRequest(prompt: prompt))
      let answer = try await RawConnection(daemon.socketPath)
        .exchange("POST", Route.imageGenerations, body: Array(body))
      #expect(answer.status == 200)
      #expect(engine.record.requests.map { Array($0.prompt.utf8) } == [Array(prompt.utf8)])
    }
  }

  @Test func whatAnOpaqueModelDrawsIsOpaque() throws {
    var model = FakeEngine().model
    model.isOpaque = true
    var wire = ImageGenerationRequest(prompt: "p")
    let plain = try PictureRequest(wire, model: model, randomSeed: 1)
    #expect(plain.background == .opaque)
    #expect(RequestWarnings.of(wire, as: plain, by: model) == [])
    wire.background = .transparent
    let request = try PictureRequest(wire, model: model, randomSeed: 1)
    let told = RequestWarnings.of(wire, as: request, by: model)
    #expect(told.count == 1 && told[0].contains("background \"transparent\" was ignored"))
  }

  /// What other programs' users are used to, and where it changes nothing.
  @Test func warnsOfWhatGuidanceWouldNeed() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      func warnings(_ fields: String) async throws -> [String] {
        try await BananaServerTests.answer(to: #"{"prompt":"p",\#(fields)}"#, from: daemon).warnings
      }
      #expect(try await warnings(#""negative_prompt":"q","sampler":"ddim""#) == [])
      #expect(try await warnings(#""negative_prompt":"","guidance":1"#) == [])
      let ignored = try await warnings(#""negative_prompt":"q","guidance":1"#)
      #expect(ignored.count == 1 && ignored[0].contains("negative_prompt was ignored"))
    }
    var wire = ImageGenerationRequest(prompt: "p")
    (wire.sampler, wire.negativePrompt) = (.euler, "q")
    var model = engine.model
    (model.guidanceForm, model.defaultSampler, model.defaultGuidance) = (.folded, .consistency, 1)
    let request = try PictureRequest(wire, model: model, randomSeed: 1)
    let told = RequestWarnings.of(wire, as: request, by: model)
    #expect(told.count == 1 && told[0].contains("built in"))
  }

  /// Why a model does not draw a request, if it does not.
  private func refusal(
    by model: ModelDescription, _ change: (inout ImageGenerationRequest) -> Void
  ) -> APIError? {
    var wire = ImageGenerationRequest(prompt: "p")
    change(&wire)
    do throws(APIError) {
      _ = try PictureRequest(wire, model: model, randomSeed: 1)
      return nil
    } catch { return error }
  }

  /// What a model cannot be walked with is refused before it waits, with what it can.
  @Test func namesWhatAModelCanBeDrawnWith() throws {
    var model = FakeEngine().model
    (model.samplers, model.spacings) = ([.euler, .consistency], [])
    func refusal(_ change: (inout ImageGenerationRequest) -> Void) -> APIError? {
      self.refusal(by: model, change)
    }
    #expect(refusal { $0.sampler = .lcm } == nil)
    let sampler = refusal { $0.sampler = .tcd }
    #expect(sampler?.param == "sampler" && sampler?.code == .invalidRequest)
    #expect(sampler?.message.contains(#"Use "euler", "lcm", or leave sampler out."#) == true)
    let none = refusal { $0.spacing = .karras }
    #expect(none?.param == "spacing" && none?.message.contains("Leave spacing out.") == true)
    model.spacings = [.trailing, .leading]
    #expect(refusal { $0.spacing = .leading } == nil)
    #expect(refusal { $0.spacing = .lcm }?.message.contains(#"Use "trailing", "leading","#) == true)
    model.spacings = TimestepSpacing.allCases
    model.samplers = Sampler.allCases
    for spacing in ImageGenerationRequest.Spacing.allCases {
      #expect(refusal { $0.spacing = spacing } == nil)
    }
    for sampler in ImageGenerationRequest.Sampler.allCases {
      #expect(refusal { $0.sampler = sampler } == nil)
    }
    #expect(refusal { $0.clipSkip = 2 }?.message.contains("no layers to skip") == true)
    model.maximumClipSkip = 3
    #expect(refusal { $0.clipSkip = 3 } == nil)
    let deep = refusal { $0.clipSkip = 4 }
    #expect(deep?.param == "clip_skip" && deep?.message.contains("(3)") == true)
    // What is said before a job waits and what the engine would say are the same words.
    #expect(deep == APIError(EngineError.generation(.clipSkip(4, maximum: 3))))
  }

  /// The nearest size is drawn, or named where none but the one is wanted; many are told in a few
  /// words.
  @Test func namesTheNearestSize() throws {
    var model = FakeEngine().model
    func message(_ size: String) -> String? {
      refusal(by: model) { ($0.size, $0.strictSize) = (size, true) }?.message
    }
    #expect(message("auto") == nil && message("256x256") == nil)
    #expect(
      message("300x300")
        == "This model does not draw 300x300; the nearest that it draws is 256x256. It draws "
        + "256x256, 512x512.")
    let sides = Array(stride(from: 256, through: 1024, by: 64))
    model.sizes = sides.flatMap { width in
      sides.map { OfferedSize(PictureSize(width: width, height: $0)) }
    }
    model.nativeSize = OfferedSize(PictureSize(width: 512, height: 512))
    #expect(message("704x1024") == nil)
    #expect(
      message("1500x700")
        == "This model does not draw 1500x700; the nearest that it draws is 1024x704. It draws "
        + "every multiple of 64 from 256 to 1024 on each side.")
    #expect(message("large")?.contains("fake draws every multiple of 64 from") == true)
    var wire = ImageGenerationRequest(prompt: "p", size: "1500x700")
    let request = try PictureRequest(wire, model: model, randomSeed: 1)
    #expect(request.size == PictureSize(width: 1024, height: 704))
    #expect(RequestWarnings.of(wire, as: request, by: model)[0].contains("nearest, 1024x704"))
    wire.size = "auto"
    #expect(try PictureRequest(wire, model: model, randomSeed: 1).size == model.nativeSize.size)
  }

  @Test func replacesControlCharacters() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      _ = try await post(#"{"prompt":"a\u0000red\u001bapple\n"}"#, to: daemon)
      #expect(engine.record.requests.first?.prompt == "a red apple ")
    }
  }

  @Test func completesTheRequest() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let everything = #"""
        {"prompt":"p","model":"fake","n":2,"size":"256x256","background":"opaque","style":"flat",
         "seed":18446744073709551615,"steps":9,"guidance":0,"response_format":"b64_json",
         "output_format":"png","quality":"hd","output_compression":100,"moderation":"auto",
         "user":"me","partial_images":0,"stream":false,"sampler":"euler_a","spacing":"karras",
         "negative_prompt":"a\u0000hat","clip_skip":1}
        """#
      let answer = try await BananaServerTests.answer(to: everything, from: daemon)
      #expect(answer.data.map(\.seed) == [.max, 0])
      #expect(answer.data.allSatisfy { Array($0.png.prefix(8)) == TestPattern.signature })
      #expect(answer.size == "256x256")
      #expect(answer.background == "opaque")
      #expect(answer.quality == "hd")
      #expect(answer.outputFormat == "png")
      #expect(answer.model == "fake")
      #expect(answer.timings.denoiseSeconds == 0.01)
      #expect(answer.timings.totalSeconds > 0)

      let defaults = try await BananaServerTests.answer(
        to: #"{"prompt":"p","style":"vivid"}"#, from: daemon)
      #expect(defaults.size == "512x512")
      #expect(defaults.background == "transparent")
      #expect(defaults.data.count == 1)
      #expect(defaults.warnings.count == 1)

      let requests = engine.record.requests
      #expect(
        requests.first
          == PictureRequest(
            prompt: "p", negativePrompt: "a hat", style: "flat", clipSkip: 1,
            size: PictureSize(width: 256, height: 256), steps: 9, guidance: 0,
            sampler: .eulerAncestral, spacing: .karras, seed: .max, count: 2, background: .opaque))
      #expect(requests.last?.style == nil)
      #expect(requests.last?.seed == defaults.data[0].seed)
    }
  }

  @Test func warnsOfACutPrompt() async throws {
    try await TestDaemon.serving(FakeEngine(isTruncating: true)) { daemon async throws in
      let answer = try await BananaServerTests.answer(to: #"{"prompt":"p"}"#, from: daemon)
      #expect(answer.warnings.first?.contains("longer") == true)
    }
  }

  @Test func warnsOfAPromptThatSaysNothing() async throws {
    try await TestDaemon.serving(FakeEngine(knowsNothing: true)) { daemon async throws in
      let answer = try await BananaServerTests.answer(to: #"{"prompt":"𒀀"}"#, from: daemon)
      #expect(answer.warnings.first?.contains("knows no word of the prompt") == true)
    }
  }

  @Test func tellsPathsAndMethodsApart() async throws {
    try await TestDaemon.serving { daemon async throws in
      func status(_ method: String, _ path: String) async throws -> Int {
        try await RawConnection(daemon.socketPath).exchange(method, path).status
      }
      #expect(try await status("GET", "/v1/models") == 200)
      #expect(try await status("GET", "/v1/models/fake") == 200)
      #expect(try await status("GET", "/v1/models/other") == 404)
      #expect(try await status("GET", "/readyz") == 200)
      #expect(try await status("GET", "/") == 404)
      #expect(try await status("GET", "/v1/images/edits") == 405)
      #expect(try await status("POST", "/v1/jobs/x") == 405)
      #expect(try await status("DELETE", "/v1/jobs/x/result") == 405)
      #expect(try await status("GET", "/v1/jobs/x") == 404)
      #expect(try await status("DELETE", "/v1/status") == 405)
      #expect(try await status("GET", Route.imageGenerations) == 405)
    }
  }
}

/// An error as a stranger's client reads it.
struct WireError: Decodable {
  struct Body: Decodable {
    var code: String
    var message: String
    var type: String
    var param: String?
  }

  var error: Body
}

func post(_ body: String, to daemon: TestDaemon) async throws -> RawConnection.Answer {
  try await RawConnection(daemon.socketPath)
    .exchange("POST", Route.imageGenerations, body: Array(body.utf8))
}

/// The picture answer to a request that is right.
func answer(to body: String, from daemon: TestDaemon) async throws -> ImageGenerationResponse {
  let answer = try await post(body, to: daemon)
  try #require(answer.status == 200, "\(answer.body)")
  return try JSONDecoder().decode(ImageGenerationResponse.self, from: Data(answer.body.utf8))
}
