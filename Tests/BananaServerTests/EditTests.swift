import BananaAPI
import BananaServer
import BananaTesting
import Diffusion
import FoundationEssentials
import Imaging
import Testing

/// `POST /v1/images/edits`.
@Suite(.timeLimit(.minutes(5))) struct EditTests {
  private static func png(_ width: Int, _ height: Int, _ color: Color) throws -> [UInt8] {
    try PNG.encode(Pixels(width: width, height: height, filledWith: color))
  }

  private static let red = Color(red: 255, green: 0, blue: 0)

  private static func form(
    image: [UInt8]? = nil, mask: [UInt8]? = nil, _ fields: [(String, String)]
  ) throws -> TestForm {
    var form = TestForm()
    form.addFile("image", try image ?? png(20, 10, red))
    if let mask { form.addFile("mask", mask) }
    for (name, value) in fields { form.add(name, value) }
    return form
  }

  @Test func drawsFromAnImage() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let form = try Self.form(
        mask: Self.png(20, 10, .clear),
        [
          ("prompt", "a \"hat\"\n"), ("n", "2"), ("size", "256x256"), ("seed", "7"),
          ("steps", "3"), ("guidance", "1.5"), ("strength", "0.75"), ("background", "opaque"),
          ("user", "12"), ("response_format", "b64_json"), ("input_fidelity", "high"),
          ("priority", "interactive"), ("provenance", "false"),
        ])
      let answer = try await form.post(to: daemon)
      #expect(answer.status == 200, "\(answer.body)")
      let response = try JSONDecoder().decode(
        ImageGenerationResponse.self, from: Data(answer.body.utf8))
      #expect(response.data.map(\.seed) == [7, 8])
      let request = try #require(engine.record.requests.first)
      #expect(request.prompt == "a \"hat\" " && request.count == 2 && request.width == 256)
      #expect(request.steps == 3 && request.guidance == 1.5 && request.background == .opaque)
      #expect(!request.marksProvenance)
      let edit = try #require(request.edit)
      #expect(edit.strength == 0.75)
      // It is as the model needs it before it waits: in the middle of the model's own square.
      #expect(edit.image.width == 512 && edit.image.height == 512)
      #expect(edit.image.rgba[256 * 512 + 256] == [1, 0, 0, 1] && edit.image.rgba[0] == .zero)
      #expect(edit.mask?.rgba[256 * 512 + 256].w == 0 && edit.mask?.rgba[0].w == 1)
      #expect(edit.source.byteCount == 16 * 2 * (512 * 512 + 256 * 256))
    }
  }

  @Test func hasDefaultsAndStreams() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      var form = TestForm()
      // As OpenAI's clients send lists.
      form.addFile("image[]", try Self.png(4, 4, Self.red))
      form.add("prompt", "p")
      form.add("stream", "true")
      form.add("partial_images", "1")
      let answer = try await form.post(to: daemon)
      #expect(answer.body.contains("event: image_edit.partial_image\n"))
      #expect(answer.body.contains("event: image_edit.completed\n"))
      #expect(answer.body.contains(#""type":"image_edit.completed""#))
      #expect(engine.record.requests.first?.edit?.strength == 0.6)
      #expect(engine.record.requests.first?.edit?.mask == nil)
      let masked = try Self.form(mask: Self.png(20, 10, .clear), [("prompt", "p")])
      #expect(try await masked.post(to: daemon).status == 200)
      #expect(engine.record.requests.last?.edit?.strength == 1)
    }
  }

  @Test func refusesWhatIsWrong() async throws {
    let engine = FakeEngine()
    let prompt = [("prompt", "p")]
    let broken = Array(try Self.png(20, 10, Self.red).dropLast(30))
    let cases: [(TestForm, Int, String, String?)] = [
      (try Self.form([]), 400, "invalid_request", "prompt"),
      (try Self.form(prompt + [("n", "two")]), 400, "invalid_request", "n"),
      (try Self.form(prompt + [("n", "11")]), 400, "invalid_request", "n"),
      (try Self.form(prompt + [("n", "1"), ("n", "1")]), 400, "invalid_request", "n"),
      (try Self.form(prompt + [("stream", "yes")]), 400, "invalid_request", "stream"),
      (try Self.form(prompt + [("strength", "0")]), 400, "invalid_request", "strength"),
      (try Self.form(prompt + [("strength", "1.1")]), 400, "invalid_request", "strength"),
      (try Self.form(prompt + [("strength", "nan")]), 400, "invalid_request", "strength"),
      (try Self.form(prompt + [("surprise", "1")]), 400, "invalid_request", "surprise"),
      (try Self.form(prompt + [("size", "3")]), 400, "invalid_request", "size"),
      (try Self.form(prompt + [("peels", "a")]), 400, "invalid_request", "peels"),
      (try Self.form(prompt + [("peels", "[a")]), 400, "invalid_request", "peels"),
      // Numbers to some, and not to JSON.
      (try Self.form(prompt + [("n", "+5")]), 400, "invalid_request", "n"),
      (try Self.form(prompt + [("n", "007")]), 400, "invalid_request", "n"),
      (try Self.form(prompt + [("guidance", "0x1p3")]), 400, "invalid_request", "guidance"),
      (try Self.form(prompt + [("guidance", ".5")]), 400, "invalid_request", "guidance"),
      (try Self.form(prompt + [("seed", "1,2")]), 400, "invalid_request", "seed"),
      (try Self.form(prompt + [("peels[]", "a")]), 404, "peel_not_found", "peels"),
      (try Self.form(prompt + [("peels", "[\"a\"]")]), 404, "peel_not_found", "peels"),
      (try Self.form(prompt + [("model", "gpt-image-1")]), 404, "model_not_found", "model"),
      (try Self.form(image: [], prompt), 400, "invalid_request", "image"),
      (try Self.form(image: broken, prompt), 400, "invalid_request", "image"),
      (
        try Self.form(image: Self.png(65, 65, .clear), prompt), 413, "request_too_large", "image"
      ),
      (
        try Self.form(mask: Self.png(10, 20, .clear), prompt), 400, "invalid_request", "mask"
      ),
      (
        try Self.form(mask: Self.png(20, 10, Self.red), prompt), 400, "invalid_request", "mask"
      ),
      (
        try Self.form([("prompt", String(repeating: "x", count: 4001))]), 413,
        "request_too_large", "prompt"
      ),
      (
        try Self.form([("prompt", String(repeating: "x", count: 70_000))]), 413,
        "request_too_large", "prompt"
      ),
      (
        try Self.form(image: [UInt8](repeating: 7, count: 200_000), prompt), 413,
        "request_too_large", nil
      ),
    ]
    let configuration = DaemonConfiguration(editBodyBytes: 150_000, editPixels: 64 * 64)
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      for (index, (form, status, code, param)) in cases.enumerated() {
        let answer = try await form.post(to: daemon)
        #expect(answer.status == status, "case \(index): \(answer.body)")
        let error = try JSONDecoder().decode(WireError.self, from: Data(answer.body.utf8)).error
        #expect(error.code == code && error.param == param, "case \(index): \(answer.body)")
      }
      var twice = try Self.form(mask: Self.png(20, 10, .clear), prompt)
      twice.addFile("mask", try Self.png(20, 10, .clear))
      #expect(try await twice.post(to: daemon).code == "invalid_request")
      var none = TestForm()
      none.add("prompt", "p")
      #expect(try await none.post(to: daemon).body.contains("image is missing"))
      // A body that is no form at all.
      let json = try await RawConnection(daemon.socketPath)
        .exchange("POST", Route.imageEdits, body: Array(#"{"prompt":"p"}"#.utf8))
      #expect(json.status == 415 && json.body.contains("multipart/form-data"))
      #expect(engine.record.requests.isEmpty)
      #expect(try await daemon.isAlive)
    }
  }
}
