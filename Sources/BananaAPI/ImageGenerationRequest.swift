/// The body of `POST /v1/images/generations`: OpenAI's fields and Banana's own.
///
/// Decoding is strict: a field that neither API has, or that has a wrong type, is refused by name.
public struct ImageGenerationRequest: Sendable, Equatable {
  /// What is behind the object in the picture.
  public enum Background: String, Codable, Sendable, CaseIterable {
    /// Nothing behind what is drawn.
    case transparent
    /// White behind what is drawn.
    case opaque
    /// The daemon chooses; it chooses transparent.
    case auto
  }

  /// How a step is taken from one level of noise to the next.
  public enum Sampler: String, Codable, Sendable, CaseIterable {
    /// Along the line through the noise that is left.
    case euler
    /// The same with fresh noise in each step.
    case eulerAncestral = "euler_a"
    /// Euler's step, as other programs' samplers of this name take it.
    case ddim
    /// To the clean picture and back with fresh noise: for models that were distilled for it.
    case lcm
    /// The same with less fresh noise, likewise.
    case tcd
    /// Second order, from two steps.
    case dpmSolver = "dpmpp_2m"
  }

  /// Which levels of noise steps are taken at.
  public enum Spacing: String, Codable, Sendable, CaseIterable {
    /// Evenly down from the steps of training that have the most noise.
    case trailing
    /// Evenly up from those that have the least.
    case leading
    /// Closer together where there is little noise.
    case karras
    /// Those that consistency models were distilled from.
    case lcm
  }

  /// What to draw: any Unicode, 1 to 4,000 characters (Unicode scalars), not blank.
  public var prompt: String
  /// What there shall not be: any Unicode, at most 4,000 characters; without effect where there is
  /// no guidance.
  public var negativePrompt: String?
  /// A model's name; nil is the model that is loaded.
  public var model: String?
  /// How many pictures, 1...10; `n` on the wire; nil is 1.
  public var count: Int?
  /// `"256x256"`, `"512x512"` or another `WIDTHxHEIGHT`, of which the nearest that the model has is
  /// drawn, or `"auto"`; nil is auto.
  public var size: String?
  /// Refuse a size that the model does not have instead of drawing the nearest; nil is false.
  public var strictSize: Bool?
  /// What is behind the drawing; nil is transparent.
  public var background: Background?
  /// One of the model's styles; nil is its default.
  public var style: String?
  /// Seed of the first picture; picture `i` uses `seed + i`; nil is a random one.
  public var seed: UInt64?
  /// Denoising steps, 1...50; nil is the model's default.
  public var steps: Int?
  /// Strength of classifier-free guidance, 0...30; nil is the model's default.
  public var guidance: Double?
  /// Nil is the model's default.
  public var sampler: Sampler?
  /// Nil is the model's default, or what goes with the sampler.
  public var spacing: Spacing?
  /// Which layer of the text encoder is read, 1...12, counted from the last, which is 1; no more
  /// than the model has. Nil is the model's default.
  public var clipSkip: Int?
  /// Answer with server-sent events.
  public var stream: Bool?
  /// Previews of each picture to send while streaming, 0...3.
  public var partialImages: Int?
  /// `"b64_json"`, or `"url"` for pictures as `data:` URLs; nil is `b64_json`.
  public var responseFormat: String?
  /// Only `"png"` is served.
  public var outputFormat: String?
  /// OpenAI's; accepted and given back, without effect.
  public var quality: String?
  /// OpenAI's; accepted without effect.
  public var outputCompression: Int?
  /// OpenAI's; accepted without effect.
  public var moderation: String?
  /// OpenAI's; accepted without effect.
  public var user: String?
  /// Peels to apply, at most 8, each once.
  public var peels: [PeelReference]?
  /// Which jobs go first; nil is normal.
  public var priority: JobPriority?
  /// Give up when the pictures are not there so many seconds after the request came, above 0 and
  /// at most 86,400; nil waits for as long as it takes.
  public var deadlineSeconds: Double?
  /// Keep the answer for a while, to be fetched from `/v1/jobs/{id}/result`, and go on drawing when
  /// the client goes away.
  public var store: Bool?
  /// Write into the PNG what drew it; nil is true.
  public var provenance: Bool?
  /// What came with the request and means nothing here, by its field's name; never on the wire.
  package var ignored: [String] = []

  /// A request with its most used fields; the others can be set afterwards, and nil leaves the
  /// choice to the model.
  public init(
    prompt: String, model: String? = nil, count: Int? = nil, size: String? = nil,
    background: Background? = nil, style: String? = nil, seed: UInt64? = nil, steps: Int? = nil,
    guidance: Double? = nil, stream: Bool? = nil
  ) {
    self.prompt = prompt
    self.model = model
    self.count = count
    self.size = size
    self.background = background
    self.style = style
    self.seed = seed
    self.steps = steps
    self.guidance = guidance
    self.stream = stream
  }
}

extension ImageGenerationRequest {
  /// What holds for every model.
  public enum Limits {
    /// The longest prompt.
    public static let promptCharacters = 4000
    /// The longest text of any other field, and the longest name of a peel.
    public static let fieldCharacters = 512
    /// Pictures of one request.
    public static let count = 1...10
    /// Denoising steps of a picture.
    public static let steps = 1...50
    /// How closely the prompt may be followed.
    public static let guidance = 0.0...30.0
    /// Layers of a text encoder from which one is chosen.
    public static let clipSkip = 1...12
    /// Previews of a picture.
    public static let partialImages = 0...3
    /// Peels of one request.
    public static let peels = 8
    /// How strongly a peel may be applied.
    public static let peelStrength = -4.0...4.0
    /// How long a job may be given.
    public static let deadlineSeconds = 0.001...86_400.0
    /// Bytes of the JSON body.
    public static let bodyBytes = 1 << 20
    /// How pictures can come inside the answer.
    public static let responseFormats = ["b64_json", "url"]
  }

  /// Checks everything that does not depend on the model.
  public func validate() throws(APIError) {
    try validateLength(of: prompt, "prompt")
    try validateLength(of: negativePrompt ?? "", "negative_prompt")
    for (param, text) in [
      ("model", model), ("size", size), ("style", style), ("response_format", responseFormat),
      ("output_format", outputFormat), ("quality", quality), ("moderation", moderation),
      ("user", user),
    ] {
      try validateLength(of: text ?? "", param, limit: Limits.fieldCharacters)
    }
    if prompt.unicodeScalars.allSatisfy(\.isBlank) {
      throw APIError(
        .invalidRequest, "The prompt is empty. Say what to draw, for example \"a red apple\".",
        param: "prompt")
    }
    try validateTags(in: prompt, "prompt")
    try validateTags(in: negativePrompt ?? "", "negative_prompt")
    try require(count, in: Limits.count, "n")
    try require(steps, in: Limits.steps, "steps")
    try require(guidance, in: Limits.guidance, "guidance")
    try require(clipSkip, in: Limits.clipSkip, "clip_skip")
    try require(outputCompression, in: 0...100, "output_compression")
    if let responseFormat, !Limits.responseFormats.contains(responseFormat) {
      throw APIError(
        .invalidRequest,
        "response_format \"\(responseFormat.cut(64))\" is not served. Use \"b64_json\", or "
          + "\"url\" for a data: URL.", param: "response_format")
    }
    if let outputFormat, outputFormat != "png" {
      throw APIError(
        .invalidRequest, "output_format \"\(outputFormat.cut(64))\" is not served. Use \"png\".",
        param: "output_format")
    }
    try require(partialImages, in: Limits.partialImages, "partial_images")
    if let partialImages, partialImages > 0, stream != true {
      throw APIError(
        .invalidRequest,
        "partial_images is \(partialImages) but the answer is not streamed. Set stream to true.",
        param: "partial_images")
    }
    try require(deadlineSeconds, in: Limits.deadlineSeconds, "deadline_seconds")
    try validatePeels()
  }

  /// What would only be words here has another place: a picture without the adapter that was meant
  /// is not what anybody wants.
  private func validateTags(in text: String, _ param: String) throws(APIError) {
    guard let tag = ForeignNames.promptTag(in: text) else { return }
    throw APIError(
      .invalidRequest,
      "\(param) has \"\(tag.text.cut(96))\", by which other programs mean an adapter; here "
        + "it would be words. Leave it out and name what is installed (GET \(Route.peels)) in "
        + "\"peels\": [{\"name\": \"\(tag.name.cut(64))\", \"strength\": \(tag.strength)}], or "
        + "with --peel.",
      param: param)
  }

  private func validateLength(
    of text: String, _ param: String, limit: Int = Limits.promptCharacters
  ) throws(APIError) {
    let count = text.unicodeScalars.count
    guard count > limit else { return }
    throw APIError(
      .requestTooLarge,
      "\(param) has \(count) characters; at most \(limit) are accepted. Shorten it.",
      param: param)
  }

  private func validatePeels() throws(APIError) {
    guard let peels else { return }
    if peels.count > Limits.peels {
      throw APIError(
        .invalidRequest,
        "\(peels.count) peels are asked for; at most \(Limits.peels) can be applied at once.",
        param: "peels")
    }
    for (index, peel) in peels.enumerated() {
      try validateLength(of: peel.name, "peels", limit: Limits.fieldCharacters)
      try require(peel.strength, in: Limits.peelStrength, "peels")
      if peels[..<index].contains(where: { $0.name == peel.name }) {
        throw APIError(
          .invalidRequest,
          "The peel \"\(peel.name.cut(64))\" is named twice. Name it once, with the strength "
            + "that you want.", param: "peels")
      }
    }
  }

  private func require<Number: Comparable>(
    _ value: Number?, in range: ClosedRange<Number>, _ param: String
  ) throws(APIError) {
    guard let value, !range.contains(value) else { return }
    throw APIError(
      .invalidRequest,
      "\(param) is \(value); it must be between \(range.lowerBound) and \(range.upperBound).",
      param: param)
  }
}

extension Unicode.Scalar {
  /// True for what draws nothing by itself: white space and control characters.
  package var isBlank: Bool {
    properties.isWhitespace || properties.generalCategory == .control
  }
}
