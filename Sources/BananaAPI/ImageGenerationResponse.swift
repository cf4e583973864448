#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// The answer to `POST /v1/images/generations`, as OpenAI's, with `seed`, `timings` and `warnings`.
public struct ImageGenerationResponse: Codable, Sendable, Equatable {
  /// Seconds since 1970.
  public var created: Int
  /// The pictures, in the order of their seeds.
  public var data: [GeneratedImage]
  /// `"transparent"` or `"opaque"`.
  public var background: String
  /// Always `"png"`.
  public var outputFormat: String
  /// `"512x512"`.
  public var size: String
  /// The request's, without effect.
  public var quality: String
  /// The model that drew.
  public var model: String
  /// Where the time of the job went.
  public var timings: Timings
  /// What a person should know about the pictures, for example that the prompt was cut.
  public var warnings: [String]
  /// The peels that were applied, in the order of the request; nil where none was asked for.
  public var peels: [AppliedPeel]?
  /// The embeddings that the prompts named; nil where they named none.
  public var embeddings: [AppliedEmbedding]?
  /// How the pictures were sampled, and by whose recipe; nil from a daemon that does not say.
  public var recipe: AppliedRecipe?
  /// The job's id.
  public var job: String?
  /// True when the board was too hot to draw at full speed.
  public var isThermalLimited: Bool?

  /// A whole answer; every argument is the property of its name.
  public init(
    created: Int, data: [GeneratedImage], background: String, outputFormat: String = "png",
    size: String, quality: String, model: String, timings: Timings, warnings: [String],
    peels: [AppliedPeel]? = nil, embeddings: [AppliedEmbedding]? = nil,
    recipe: AppliedRecipe? = nil, job: String? = nil,
    isThermalLimited: Bool? = nil
  ) {
    self.created = created
    self.data = data
    self.background = background
    self.outputFormat = outputFormat
    self.size = size
    self.quality = quality
    self.model = model
    self.timings = timings
    self.warnings = warnings
    self.peels = peels
    self.embeddings = embeddings
    self.recipe = recipe
    self.job = job
    self.isThermalLimited = isThermalLimited
  }

  private enum CodingKeys: String, CodingKey {
    case created, data, background, size, quality, model, timings, warnings, peels, recipe, job
    case embeddings
    case isThermalLimited = "thermal_limited"
    case outputFormat = "output_format"
  }
}

/// One picture.
public struct GeneratedImage: Sendable, Equatable {
  /// A whole PNG file; base64 on the wire.
  public var png: Data
  /// The seed that draws this picture again when it is asked for alone.
  public var seed: UInt64
  /// On the wire it is `url`, a `data:` URL, and not `b64_json`.
  public var isURL: Bool

  /// A picture as the bytes of a PNG file.
  public init(png: Data, seed: UInt64, isURL: Bool = false) {
    self.png = png
    self.seed = seed
    self.isURL = isURL
  }
}

extension GeneratedImage: Codable {
  /// What is before the base64 text in a URL (RFC 2397).
  private static let urlHead = "data:image/png;base64,"

  private enum CodingKeys: String, CodingKey {
    case png = "b64_json"
    case url, seed
  }

  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    seed = try fields.decode(UInt64.self, forKey: .seed)
    let url = try fields.decodeIfPresent(String.self, forKey: .url)
    isURL = url != nil
    guard let url else {
      png = try fields.decode(Data.self, forKey: .png)
      return
    }
    guard url.hasPrefix(Self.urlHead),
      let png = Data(base64Encoded: String(url.dropFirst(Self.urlHead.count)))
    else {
      throw DecodingError.dataCorruptedError(
        forKey: .url, in: fields, debugDescription: "It is no data: URL of a PNG file.")
    }
    self.png = png
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(seed, forKey: .seed)
    if isURL {
      try fields.encode(Self.urlHead + png.base64EncodedString(), forKey: .url)
    } else {
      try fields.encode(png, forKey: .png)
    }
  }
}

/// Where the time of a request went, in seconds, summed over its pictures.
public struct Timings: Codable, Sendable, Equatable {
  /// Waiting for the jobs before it.
  public var queueSeconds: Double
  /// Tokenizer and text encoder.
  public var textSeconds: Double
  /// Spent on all denoising steps.
  public var denoiseSeconds: Double
  /// Latents to pixels.
  public var decodeSeconds: Double
  /// Pixels to PNG.
  public var encodeSeconds: Double
  /// From the request's arrival to the last picture.
  public var totalSeconds: Double

  /// The time of each stage; every argument is the property of its name.
  public init(
    queueSeconds: Double, textSeconds: Double, denoiseSeconds: Double, decodeSeconds: Double,
    encodeSeconds: Double, totalSeconds: Double
  ) {
    self.queueSeconds = queueSeconds
    self.textSeconds = textSeconds
    self.denoiseSeconds = denoiseSeconds
    self.decodeSeconds = decodeSeconds
    self.encodeSeconds = encodeSeconds
    self.totalSeconds = totalSeconds
  }

  private enum CodingKeys: String, CodingKey {
    case queueSeconds = "queue_seconds"
    case textSeconds = "text_seconds"
    case denoiseSeconds = "denoise_seconds"
    case decodeSeconds = "decode_seconds"
    case encodeSeconds = "encode_seconds"
    case totalSeconds = "total_seconds"
  }
}
