import ArgumentParser
import BananaAPI
import BananaSDK
import FoundationEssentials

/// What to draw, and how.
struct PictureOptions: ParsableArguments {
  @Argument(help: "What to draw; - reads it from standard input.")
  var prompt: String

  @Option(help: "The model that draws; `banana model list` shows them. Default: the daemon's.")
  var model: String?

  @Option(help: "What there shall not be; without effect where there is no guidance.")
  var negativePrompt: String?

  @Option(help: "One of the model's styles; `banana model list` shows them.")
  var style: String?

  @Option(
    help: """
      Pixels on a side, or WIDTHxHEIGHT: the nearest that the model has is drawn; default: the \
      model's own.
      """)
  var size: String?

  @Flag(help: "Refuse a --size that the model does not have.")
  var strictSize = false

  @Option(
    help: "Denoising steps, 1 to 50; default: the model's own.",
    transform: { try OptionNumber.integer($0, in: ImageGenerationRequest.Limits.steps) })
  var steps: Int?

  @Option(
    help: "The same seed draws the same picture; default: a random one.",
    transform: { try OptionNumber.integer($0, in: 0...UInt64.max) })
  var seed: UInt64?

  @Option(
    help: "How many pictures, 1 to 10.",
    transform: { try OptionNumber.integer($0, in: ImageGenerationRequest.Limits.count) })
  var count = 1

  @Option(
    help: "How closely to follow the prompt, 0 to 30; default: the model's own.",
    transform: { try OptionNumber.real($0, in: ImageGenerationRequest.Limits.guidance) })
  var guidance: Double?

  @Option(
    help: ArgumentHelp(
      "How steps are taken: \(Self.samplers); default: the model's own.", valueName: "sampler"))
  var sampler: String?

  @Option(
    help: ArgumentHelp(
      "Which levels of noise steps are taken at: \(Self.spacings); default: the model's own.",
      valueName: "spacing"))
  var spacing: String?

  @Option(
    help: """
      Which layer of the text encoder is read, 1 (the last) to 12; default: the model's own.
      """,
    transform: { try OptionNumber.integer($0, in: ImageGenerationRequest.Limits.clipSkip) })
  var clipSkip: Int?

  @Option(help: "transparent or opaque; default: transparent where the model can.")
  var background: String?

  @Option(
    name: .customLong("peel"),
    help: ArgumentHelp(
      "A peel to apply, as often as you like; `banana peel list` shows them.",
      valueName: "name[:strength]"),
    transform: PictureOptions.peel)
  var peels: [PeelReference] = []

  @Option(help: "interactive, normal or background: which jobs go first.")
  var priority: String?

  @Flag(help: "Leave out of the PNG what drew it.")
  var noProvenance = false

  private static let samplers =
    ImageGenerationRequest.Sampler.allCases.map(\.rawValue).joined(separator: ", ")
  private static let spacings =
    ImageGenerationRequest.Spacing.allCases.map(\.rawValue).joined(separator: ", ")

  func validate() throws {
    if let sampler, ImageGenerationRequest.Sampler(rawValue: sampler) == nil {
      throw ValidationError("--sampler must be one of \(Self.samplers).")
    }
    if let spacing, ImageGenerationRequest.Spacing(rawValue: spacing) == nil {
      throw ValidationError("--spacing must be one of \(Self.spacings).")
    }
    if let background, ImageGenerationRequest.Background(rawValue: background) == nil {
      throw ValidationError("--background must be transparent or opaque.")
    }
    if let priority, JobPriority(rawValue: priority) == nil {
      throw ValidationError("--priority must be interactive, normal or background.")
    }
  }

  /// - Throws: `Failure` when the prompt cannot be read from standard input.
  var request: ImageGenerationRequest {
    get throws {
      let prompt = prompt == InputFile.standardInput ? try InputFile.prompt() : prompt
      return request(prompt)
    }
  }

  private func request(_ prompt: String) -> ImageGenerationRequest {
    var request = ImageGenerationRequest(
      prompt: prompt, count: count,
      size: size.map { Int($0) == nil ? $0 : "\($0)x\($0)" },
      background: background.flatMap(ImageGenerationRequest.Background.init), style: style,
      seed: seed, steps: steps,
      guidance: guidance)
    request.model = model
    request.negativePrompt = negativePrompt
    request.sampler = sampler.flatMap(ImageGenerationRequest.Sampler.init)
    request.spacing = spacing.flatMap(ImageGenerationRequest.Spacing.init)
    request.clipSkip = clipSkip
    if strictSize { request.strictSize = true }
    if !peels.isEmpty { request.peels = peels }
    request.priority = priority.flatMap(JobPriority.init)
    if noProvenance { request.provenance = false }
    return request
  }

  /// Reads `pixel-art` and `pixel-art:0.8`.
  static func peel(_ text: String) throws -> PeelReference {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, PeelLimits.isName(parts[0]) else {
      throw ValidationError("--peel takes NAME or NAME:STRENGTH, for example pixel-art:0.8.")
    }
    guard parts.count == 2 else { return PeelReference(name: parts[0]) }
    let limits = ImageGenerationRequest.Limits.peelStrength
    guard let strength = Double(parts[1]), limits.contains(strength) else {
      throw ValidationError(
        "The strength of --peel \(text) must be a number between \(limits.lowerBound) and "
          + "\(limits.upperBound).")
    }
    return PeelReference(name: parts[0], strength: strength)
  }
}

/// A picture to begin with instead of nothing.
struct EditOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A PNG picture to change instead of drawing anew; - reads it from standard input.",
      valueName: "file"))
  var image: String?

  @Option(
    help: ArgumentHelp(
      """
      A PNG picture of the same size: what is clear in it is drawn anew, the rest stays. Without \
      it a hole in the image is drawn anew.
      """,
      valueName: "file"))
  var mask: String?

  @Option(
    help: "How much of --image is drawn anew, 0.001 to 1.",
    transform: { try OptionNumber.real($0, in: 0.001...1) })
  var strength: Double?

  func validate() throws {
    if image == nil, mask != nil || strength != nil {
      throw ValidationError("--mask and --strength are for --image: name the picture to change.")
    }
  }

  /// The edit that the options ask for; nil without a picture.
  func edit(_ request: ImageGenerationRequest) throws -> ImageEdit? {
    guard let image else { return nil }
    return ImageEdit(
      request, image: try InputFile.picture(image), mask: try mask.map(InputFile.picture),
      strength: strength)
  }
}
