import BananaAPI
import BananaServer
import BananaTesting
import Diffusion
import FoundationEssentials
import Imaging
import Models
import Serving
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
      #expect(request.prompt == "a \"hat\" " && request.count == 2)
      #expect(request.size == PictureSize(width: 256, height: 256))
      #expect(request.steps == 3 && request.guidance == 1.5 && request.background == .opaque)
      #expect(!request.marksProvenance)
      #expect(request.strength == 0.75)
      let image = try #require(request.image(.source)?.image)
      let mask = try #require(request.image(.mask)?.image)
      // It is as the model needs it before it waits: in the middle of the model's own square.
      #expect(image.size == PictureSize(width: 512, height: 512))
      #expect(image.rgba[256 * 512 + 256] == [1, 0, 0, 1] && image.rgba[0] == .zero)
      #expect(mask.rgba[256 * 512 + 256].w == 0 && mask.rgba[0].w == 1)
      let bytes = request.images.reduce(0) { $0 + $1.byteCount }
      #expect(bytes == 16 * 2 * (512 * 512 + 256 * 256))
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
      #expect(engine.record.requests.first?.strength == 0.6)
      #expect(engine.record.requests.first?.images.map(\.role) == [.source])
      let masked = try Self.form(mask: Self.png(20, 10, .clear), [("prompt", "p")])
      #expect(try await masked.post(to: daemon).status == 200)
      #expect(engine.record.requests.last?.strength == 1)
      #expect(engine.record.requests.last?.images.map(\.role) == [.source, .mask])
    }
  }

  /// A part that was cut out is drawn anew; the ground around a sticker is none.
  @Test func aHoleIsTheMask() async throws {
    let engine = FakeEngine()
    func cut(_ isClear: (Int, Int) -> Bool) throws -> [UInt8] {
      let bytes = (0..<64).flatMap { index -> [UInt8] in
        isClear(index % 8, index / 8) ? [0, 0, 0, 0] : [9, 9, 9, 255]
      }
      return try PNG.encode(Pixels(width: 8, height: 8, bytes: bytes))
    }
    let inside = { (x: Int, y: Int) in (2..<6).contains(x) && (2..<6).contains(y) }
    let cases: [(image: [UInt8], isHole: Bool)] = [
      (try cut(inside), true), (try cut { x, y in x < 3 && y < 5 }, true),
      (try cut { x, _ in x < 4 }, true), (try cut { _, _ in true }, true),
      (try cut { x, y in !inside(x, y) }, false), (try cut { _, _ in false }, false),
      // A ring on nothing.
      (try cut { x, y in x == 0 || y == 0 || x == 7 || y == 7 || x == 4 && y == 4 }, false),
    ]
    try await TestDaemon.serving(engine) { daemon async throws in
      for (index, (image, isHole)) in cases.enumerated() {
        let form = try Self.form(image: image, [("prompt", "p")])
        #expect(try await form.post(to: daemon).status == 200)
        let request = try #require(engine.record.requests.last)
        let mask = request.image(.mask)?.image
        #expect((mask != nil) == isHole, "case \(index)")
        #expect(mask == nil || mask == request.image(.source)?.image)
        #expect(request.strength == (isHole ? 1 : 0.6), "case \(index)")
      }
      let masked = try Self.form(
        image: cut(inside), mask: cut { x, _ in x == 0 }, [("prompt", "p"), ("strength", "0.5")])
      #expect(try await masked.post(to: daemon).status == 200)
      let request = try #require(engine.record.requests.last)
      #expect(request.image(.mask)?.image != request.image(.source)?.image)
      #expect(request.isEdit && request.strength == 0.5)
    }
  }

  /// What browsers send for a file field that nobody touched.
  @Test func anUnchosenFileIsAbsent() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      var form = try Self.form([("prompt", "p")])
      form.addFile("mask", [], fileName: "")
      form.addFile("image[]", [], fileName: "")
      #expect(try await form.post(to: daemon).status == 200)
      #expect(engine.record.requests.last?.images.map(\.role) == [.source])
      var none = TestForm()
      none.add("prompt", "p")
      none.addFile("image", [], fileName: "")
      #expect(try await none.post(to: daemon).body.contains("image is missing"))
      let empty = try await Self.form(image: [], [("prompt", "p")]).post(to: daemon)
      #expect(empty.status == 400 && empty.body.contains("an empty file"))
      let jpeg = try await Self.form(image: [0xFF, 0xD8, 0xFF, 0xE0], [("prompt", "p")])
        .post(to: daemon)
      #expect(jpeg.status == 400 && jpeg.body.contains("This is a JPEG; PNG is needed."))
    }
  }

  @Test func peelsComeAsClientsWriteLists() throws {
    func peels(_ fields: [(String, String)]) throws -> [PeelReference]? {
      let parts =
        [
          FormPart(name: "image", fileName: "a.png", bytes: [1]),
          FormPart(name: "prompt", bytes: Array("p".utf8)),
        ]
        + fields.map { FormPart(name: $0.0, bytes: Array($0.1.utf8)) }
      return try EditForm(parts).request.peels
    }
    let (a, b) = (PeelReference(name: "a", strength: 0.5), PeelReference(name: "b"))
    let ways: [[(String, String)]] = [
      // One after the other (Rails), all names first (OpenAI's client), by number (PHP).
      [("peels[][name]", "a"), ("peels[][strength]", "0.5"), ("peels[][name]", "b")],
      [
        ("peels[][name]", "a"), ("peels[][name]", "b"), ("peels[][strength]", "0.5"),
        ("peels[][strength]", "1"),
      ],
      [("peels[1][name]", "b"), ("peels[0][strength]", "0.5"), ("peels[0][name]", "a")],
      [("peels[0].name", "a"), ("peels[0].strength", "0.5"), ("peels[1]", "b")],
      [("peels", "[{\"name\": \"a\", \"strength\": 0.5}, \"b\"]")],
    ]
    for way in ways { #expect(try peels(way) == [a, b], "\(way)") }
    #expect(try peels([("peels[]", "a"), ("peels[]", "b")])?.map(\.name) == ["a", "b"])
    #expect(try peels([("peels[][name]", ""), ("peels[][strength]", "")]) == nil)
    let wrong: [[(String, String)]] = [
      [("peels[][strength]", "1")], [("peels[][name]", "a"), ("peels[][strength]", "nan")],
      [("peels[][name]", "a"), ("peels[][strength]", "0x1")], [("peels[x]", "a")],
      [("peels[][name]", "a"), ("peels[][name]", "b"), ("peels[][strength]", "1")],
      [("peels[][colour]", "a")], [("peels[0][name][deep]", "a")], [("peels[99999]", "a")],
      [("peels[0]", "a"), ("peels[0]", "b")], [("peels[-1]", "a")],
      [("peels[]", "a"), ("peels", "[\"b\"]")],
      [("peels[][name]", "a"), ("peels[][strength]", "1e999")],
      [("peels[][name]", "a"), ("peels[][strength]", "9")],
    ]
    for fields in wrong {
      #expect {
        try peels(fields)
      } throws: { error in
        (error as? APIError)?.param == "peels"
      }
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
    let configuration = DaemonConfiguration(editPixels: 64 * 64)
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
