import BananaAPI
import FoundationEssentials
import Testing

@Suite struct ImageGenerationRequestTests {
  @Test func keepsEveryFieldOverTheWire() throws {
    var request = ImageGenerationRequest(
      prompt: "a \u{1F34C} and \"quotes\"", model: "m", count: 3, size: "256x256",
      background: .opaque, style: "flat", seed: .max, steps: 7, guidance: 1.5, stream: true)
    request.partialImages = 0
    request.responseFormat = "b64_json"
    request.outputFormat = "png"
    request.quality = "high"
    request.outputCompression = 90
    request.moderation = "low"
    request.user = "u"
    request.peels = [PeelReference(name: "a"), PeelReference(name: "b", strength: -0.5)]
    request.priority = .background
    request.deadlineSeconds = 2.5
    request.store = true
    request.provenance = false
    request.strictSize = true
    let json = try JSONEncoder().encode(request)
    #expect(try JSONDecoder().decode(ImageGenerationRequest.self, from: json) == request)
    #expect(String(decoding: json, as: UTF8.self).contains(#""n":3"#))
  }

  @Test func takesNullForAbsent() throws {
    let request = try decode(#"{"prompt":"p","n":null,"size":null,"stream":null,"seed":null}"#)
    #expect(request == ImageGenerationRequest(prompt: "p"))
  }

  @Test func takesAnEmptyTextForAbsent() throws {
    let request = try decode(
      #"{"prompt":"p","model":"","size":"","style":"","quality":"","background":"","user":""}"#)
    #expect(request == ImageGenerationRequest(prompt: "p"))
  }

  @Test func takesMinusOneForAnySeed() throws {
    #expect(try decode(#"{"prompt":"p","seed":-1}"#).seed == nil)
    #expect(try decode(#"{"prompt":"p","seed":18446744073709551615}"#).seed == .max)
  }

  /// What the newest of OpenAI's clients can send beside what is read.
  @Test func ignoresOpenAIsOtherFieldsByName() throws {
    let request = try decode(
      #"""
      {"prompt":"p","safety_identifier":"me","complexity":"low","frame_count":9,
       "frame_duration_ms":200,"svg":{"model":"m","reasoning":{"effort":"low"}},
       "prompt_rewriter":null}
      """#)
    #expect(
      request.ignored
        == ["complexity", "frame_count", "frame_duration_ms", "safety_identifier", "svg"])
  }

  @Test(arguments: [
    ("num_inference_steps", "steps"), ("numInferenceSteps", "steps"), ("step", "steps"),
    ("cfg_scale", "guidance"), ("guidance_scale", "guidance"), ("batch_size", "n"),
    ("num_images", "n"), ("width", "size"), ("height", "size"), ("Seed", "seed"),
    ("negative", "negative_prompt"), ("sampler_name", "sampler"),
    ("scheduler", "here it is spacing, or"), ("scheduler_type", "here it is sampler, with"),
    ("sigmas", "levels of noise"), ("timestep_spacing", "spacing"), ("clipSkip", "clip_skip"),
    ("init_images", "/v1/images/edits"), ("denoising_strength", "/v1/images/edits"),
    ("loras", "peels"), ("enable_hr", "leave it out"), ("strictSize", "strict_size"),
    ("CLIP_stop_at_last_layers", "clip_skip"),
  ])
  func hintsAtWhatOtherProgramsCall(_ field: String, _ hint: String) throws {
    let error = #expect(throws: APIError.self) {
      try decode("{\"prompt\":\"p\",\"\(field)\":1}")
    }
    #expect(error?.param == field)
    let sentence = try #require(error?.message.split(separator: ". The fields are").first)
    #expect(sentence.contains("Unknown field \"\(field)\": ") && sentence.contains(hint))
  }

  @Test func namesPeelsForAnAdapterInThePrompt() throws {
    for (prompt, name) in [
      ("an apple <lora:pixel-art:0.8>", #"{"name": "pixel-art", "strength": 0.8}"#),
      ("<LORA:a b>", #"{"name": "a b", "strength": 1.0}"#),
      ("1 < 2 <lyco:x:te=1:unet=2>", #"{"name": "x", "strength": 1.0}"#),
    ] {
      let error = #expect(throws: APIError.self) {
        try ImageGenerationRequest(prompt: prompt).validate()
      }
      #expect(error?.param == "prompt" && error?.message.contains(name) == true, "\(prompt)")
    }
    for prompt in ["<lora>", "a <b> <lora: x", "<lora:>", "lora:x:1", "<3", "<<<lora :x>"] {
      try check(nil) { $0.prompt = prompt }
    }
  }

  @Test func picturesComeAsTextOrAsURL() throws {
    let image = GeneratedImage(png: Data([1, 2, 3]), seed: 7, isURL: true)
    let json = try JSONEncoder().encode(image)
    let members = try JSONDecoder().decode([String: JSONValue].self, from: json)
    #expect(members == ["url": .string("data:image/png;base64,AQID"), "seed": .int(7)])
    #expect(try JSONDecoder().decode(GeneratedImage.self, from: json) == image)
    let wrong = Data(#"{"url":"http://x/a.png","seed":1}"#.utf8)
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(GeneratedImage.self, from: wrong)
    }
  }

  @Test func takesPeelsByNameAlone() throws {
    let request = try decode(
      #"{"prompt":"p","peels":["a",{"name":"b"},{"name":"c","strength":2}]}"#)
    #expect(
      request.peels == [
        PeelReference(name: "a"), PeelReference(name: "b"), PeelReference(name: "c", strength: 2),
      ])
  }

  @Test(arguments: [
    ("prompt", "5"), ("n", "\"two\""), ("n", "1.5"), ("size", "512"), ("background", "\"red\""),
    ("style", "[]"), ("seed", "-2"), ("seed", "18446744073709551616"), ("seed", "0.5"),
    ("steps", "{}"), ("guidance", "\"high\""), ("stream", "1"), ("partial_images", "\"0\""),
    ("response_format", "true"), ("output_format", "1"), ("quality", "1"), ("user", "{}"),
    ("moderation", "0"), ("output_compression", "\"1\""), ("surprise", "1"),
    ("peels", "[1]"), ("priority", "1"), ("deadline_seconds", "true"), ("store", "\"x\""),
    ("provenance", "0"), ("strict_size", "1"), ("n", "\"\""), ("seed", "-1.5"),
    ("clip_skip", "\"2\""), ("clip_skip", "1.5"),
  ])
  func namesTheFieldThatIsWrong(_ field: String, _ value: String) throws {
    let prompt = field == "prompt" ? "" : #""prompt":"p","#
    let error = #expect(throws: APIError.self) { try decode("{\(prompt)\"\(field)\":\(value)}") }
    #expect(error?.code == .invalidRequest)
    #expect(error?.param == field)
    #expect(error?.message.contains(field) == true)
  }

  @Test func checksRanges() throws {
    try check(nil) { _ in }
    try check("n") { $0.count = 0 }
    try check("n") { $0.count = 11 }
    try check("steps") { $0.steps = 0 }
    try check("steps") { $0.steps = 51 }
    try check("guidance") { $0.guidance = -0.1 }
    try check("guidance") { $0.guidance = .nan }
    try check("output_compression") { $0.outputCompression = 101 }
    try check("response_format") { $0.responseFormat = "ftp" }
    try check(nil) { $0.responseFormat = "url" }
    try check("output_format") { $0.outputFormat = "webp" }
    try check("partial_images") { $0.partialImages = 2 }
    try check(nil) { ($0.partialImages, $0.stream) = (3, true) }
    try check("partial_images") { ($0.partialImages, $0.stream) = (4, true) }
    try check("deadline_seconds") { $0.deadlineSeconds = 0 }
    try check("deadline_seconds") { $0.deadlineSeconds = .nan }
    try check("peels") { $0.peels = (0..<9).map { PeelReference(name: "\($0)") } }
    try check("peels") { $0.peels = [PeelReference(name: "a", strength: .infinity)] }
    for blank in ["", " ", "\n\t ", "\u{0}", "\u{3000}\u{A0}\u{7F}"] {
      try check("prompt") { $0.prompt = blank }
    }
    try check(nil) { $0.prompt = String(repeating: "é", count: 4000) }
    try check("prompt", .requestTooLarge) { $0.prompt = String(repeating: "x", count: 4001) }
    // One grapheme, but as much work as its scalars.
    try check("prompt", .requestTooLarge) {
      $0.prompt = "e" + String(repeating: "\u{301}", count: 4000)
    }
  }

  private func decode(_ text: String) throws -> ImageGenerationRequest {
    try JSONDecoder().decode(ImageGenerationRequest.self, from: Data(text.utf8))
  }

  private func check(
    _ param: String?, _ code: ErrorCode = .invalidRequest,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ change: (inout ImageGenerationRequest) -> Void
  ) throws {
    var request = ImageGenerationRequest(prompt: "a red apple")
    change(&request)
    do {
      try request.validate()
      #expect(param == nil, sourceLocation: sourceLocation)
    } catch {
      #expect(error.param == param, sourceLocation: sourceLocation)
      #expect(error.code == code, sourceLocation: sourceLocation)
    }
  }
}
