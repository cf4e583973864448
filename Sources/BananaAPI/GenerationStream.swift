#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// The names of the server-sent events that answer a request with `"stream": true`.
public enum StreamEventName {
  /// `GenerationProgress`; Banana's own.
  public static let progress = "banana.progress"
  /// `ImageCompleted`; one a picture.
  public static let completed = "image_generation.completed"
  /// `PartialImage`; a preview.
  public static let partialImage = "image_generation.partial_image"
  /// `ImageCompleted` of an edit.
  public static let editCompleted = "image_edit.completed"
  /// `PartialImage` of an edit.
  public static let editPartialImage = "image_edit.partial_image"
  /// `ErrorBody`; the last event when a job fails after its stream began.
  public static let error = "error"
}

/// Where a job stands: `step` of `of` are done in `stage`.
public struct GenerationProgress: Codable, Sendable, Equatable {
  /// The stages that a job goes through, in order.
  public enum Stage: String, Codable, Sendable, CaseIterable {
    /// Waiting for jobs that come first.
    case queued
    /// Reading the prompt.
    case text
    /// Drawing: by far the longest stage.
    case denoise
    /// Making pixels of what was drawn.
    case decode
    /// Making a PNG of the pixels.
    case encode
  }

  /// The event's name.
  public var type = StreamEventName.progress
  /// What is being done.
  public var stage: Stage
  /// Steps of the stage that are done; jobs that are ahead when queued.
  public var step: Int
  /// Steps that the stage has.
  public var of: Int
  /// Index of the picture that is being drawn, from 0.
  public var picture: Int
  /// How many pictures the job has.
  public var pictures: Int
  /// An estimate for the whole job; nil when nothing is known yet.
  public var secondsLeft: Double?
  /// The job's id, for `/v1/jobs/{id}`.
  public var job: String?

  /// One step of the way; every argument is the property of its name.
  public init(
    stage: Stage, step: Int, of: Int, picture: Int, pictures: Int, secondsLeft: Double?,
    job: String? = nil
  ) {
    self.stage = stage
    self.step = step
    self.of = of
    self.picture = picture
    self.pictures = pictures
    self.secondsLeft = secondsLeft
    self.job = job
  }

  private enum CodingKeys: String, CodingKey {
    case type, stage, step, of, picture, pictures, job
    case secondsLeft = "seconds_left"
  }
}

/// OpenAI's event for a picture that is not done yet.
public struct PartialImage: Codable, Sendable, Equatable {
  /// The event's name.
  public var type = StreamEventName.partialImage
  /// A whole PNG file; base64 on the wire.
  public var png: Data
  /// Seconds since 1970.
  public var createdAt: Int
  /// Of the picture, as `WIDTHxHEIGHT`.
  public var size: String
  /// Always `auto`: OpenAI's field.
  public var quality: String
  /// `transparent` or `opaque`.
  public var background: String
  /// Always `png`: OpenAI's field.
  public var outputFormat = "png"
  /// Counts the previews of one picture, from 0.
  public var partialImageIndex: Int
  /// Index of the picture, from 0.
  public var index: Int

  /// A preview; every argument is the property of its name.
  public init(
    png: Data, createdAt: Int, size: String, quality: String, background: String,
    partialImageIndex: Int, index: Int
  ) {
    self.png = png
    self.createdAt = createdAt
    self.size = size
    self.quality = quality
    self.background = background
    self.partialImageIndex = partialImageIndex
    self.index = index
  }

  private enum CodingKeys: String, CodingKey {
    case type, size, quality, background, index
    case png = "b64_json"
    case createdAt = "created_at"
    case outputFormat = "output_format"
    case partialImageIndex = "partial_image_index"
  }
}

/// OpenAI's event for a finished picture, with the facts that the plain answer has.
public struct ImageCompleted: Codable, Sendable, Equatable {
  /// The event's name.
  public var type = StreamEventName.completed
  /// A whole PNG file; base64 on the wire.
  public var png: Data
  /// Seconds since 1970.
  public var createdAt: Int
  /// Of the picture, as `WIDTHxHEIGHT`.
  public var size: String
  /// Always `auto`: OpenAI's field.
  public var quality: String
  /// `transparent` or `opaque`.
  public var background: String
  /// Always `png`: OpenAI's field.
  public var outputFormat: String
  /// The same request with this seed draws the same picture.
  public var seed: UInt64
  /// Index of this picture, from 0.
  public var index: Int
  /// What drew it.
  public var model: String
  /// Where the time of the job went.
  public var timings: Timings
  /// What the client should know, such as a prompt that was cut.
  public var warnings: [String]
  /// The peels that were applied; nil where none was asked for.
  public var peels: [AppliedPeel]?
  /// The embeddings that the prompts named; nil where they named none.
  public var embeddings: [AppliedEmbedding]?
  /// How it was sampled, and by whose recipe; nil from a daemon that does not say.
  public var recipe: AppliedRecipe?
  /// The job's id.
  public var job: String?
  /// True when the board was too hot to draw at full speed.
  public var isThermalLimited: Bool?

  /// The event for picture number `index` of a whole answer.
  public init(image: GeneratedImage, index: Int, of response: ImageGenerationResponse) {
    self.png = image.png
    self.createdAt = response.created
    self.size = response.size
    self.quality = response.quality
    self.background = response.background
    self.outputFormat = response.outputFormat
    self.seed = image.seed
    self.index = index
    self.model = response.model
    self.timings = response.timings
    self.warnings = response.warnings
    self.peels = response.peels
    self.embeddings = response.embeddings
    self.recipe = response.recipe
    self.job = response.job
    self.isThermalLimited = response.isThermalLimited
  }

  private enum CodingKeys: String, CodingKey {
    case type, size, quality, background, seed, index, model, timings, warnings, peels, recipe
    case job, embeddings
    case isThermalLimited = "thermal_limited"
    case png = "b64_json"
    case createdAt = "created_at"
    case outputFormat = "output_format"
  }
}

extension ImageGenerationResponse {
  /// The plain answer that says what the events of a stream said; nil without a picture.
  public init?(events: [ImageCompleted]) {
    guard let last = events.last else { return nil }
    self.init(
      created: last.createdAt,
      data: events.sorted { $0.index < $1.index }.map { .init(png: $0.png, seed: $0.seed) },
      background: last.background, outputFormat: last.outputFormat, size: last.size,
      quality: last.quality, model: last.model, timings: last.timings, warnings: last.warnings,
      peels: last.peels, embeddings: last.embeddings, recipe: last.recipe, job: last.job,
      isThermalLimited: last.isThermalLimited)
  }
}
