/// What the daemon asks of the thing that draws.
///
/// The daemon calls `generate` for one request at a time. An engine does its work on threads of its
/// own, never on the cooperative pool, and looks between two steps whether the calling task was
/// cancelled.
package protocol PictureEngine: Sendable {
  /// The model that is resident, as it is told to clients.
  var model: ModelDescription { get }

  /// Draws `request.count` pictures; picture `i` is drawn from `request.seed &+ i`, so that each of
  /// them can be drawn again alone.
  /// - Parameters:
  ///   - request: Style, size and count were already checked against `model`.
  ///   - progress: Called on the engine's thread when a stage begins and after each of its steps.
  /// - Throws: `EngineError.cancelled` when the calling task was cancelled between two steps.
  func generate(
    _ request: PictureRequest,
    progress: @escaping @Sendable (PictureProgress) -> Void
  ) async throws(EngineError) -> PictureResult
}

/// Opens the model and makes the engine; what it throws becomes the reason that `/readyz` gives, so
/// its description must say what is wrong and what to do.
package typealias EngineFactory = @Sendable () async throws -> any PictureEngine

/// One request for pictures, complete and checked.
package struct PictureRequest: Sendable, Equatable {
  /// What is behind the object in the picture.
  package enum Background: String, Sendable, Equatable {
    case transparent
    /// Composed over white.
    case opaque
  }

  /// Any Unicode, not blank.
  package var prompt: String
  /// One of the model's styles; nil is its default style.
  package var style: String?
  /// Pixels.
  package var width: Int
  /// Pixels.
  package var height: Int
  /// Denoising steps, 1...50; nil is the model's default.
  package var steps: Int?
  /// Strength of classifier-free guidance, 0...30; nil is the model's default.
  package var guidance: Double?
  /// Seed of the first picture; picture `i` uses `seed &+ i`.
  package var seed: UInt64
  /// How many pictures, 1...10.
  package var count: Int
  package var background: Background

  package init(
    prompt: String, style: String? = nil, width: Int, height: Int, steps: Int? = nil,
    guidance: Double? = nil, seed: UInt64, count: Int = 1, background: Background = .transparent
  ) {
    self.prompt = prompt
    self.style = style
    self.width = width
    self.height = height
    self.steps = steps
    self.guidance = guidance
    self.seed = seed
    self.count = count
    self.background = background
  }
}

/// The stages that a picture goes through, in order.
package enum PictureStage: String, Sendable, CaseIterable {
  /// Tokenizer and text encoder.
  case text
  /// The denoising loop; its steps are counted.
  case denoise
  /// Latents to pixels.
  case decode
  /// Pixels to PNG bytes.
  case encode
}

/// Where a job stands: `step` of `steps` of `stage` are done, for picture `picture` of `pictures`.
package struct PictureProgress: Sendable, Equatable {
  package var stage: PictureStage
  /// Steps of the stage that are done, 0...steps.
  package var step: Int
  /// Steps that the stage has; 1 where it has only one.
  package var steps: Int
  /// Index of the picture that is being drawn, from 0; 0 for a batch that is drawn at once.
  package var picture: Int
  package var pictures: Int

  package init(stage: PictureStage, step: Int, steps: Int, picture: Int = 0, pictures: Int = 1) {
    self.stage = stage
    self.step = step
    self.steps = steps
    self.picture = picture
    self.pictures = pictures
  }
}

/// The pictures of one request.
package struct PictureResult: Sendable {
  /// One picture, as it goes to the client.
  package struct Picture: Sendable {
    /// A whole PNG file.
    package var png: [UInt8]
    /// The seed that draws this picture again when it is asked for alone.
    package var seed: UInt64

    package init(png: [UInt8], seed: UInt64) {
      self.png = png
      self.seed = seed
    }
  }

  package var pictures: [Picture]
  /// Wall-clock seconds spent in each stage, summed over the pictures.
  package var secondsByStage: [PictureStage: Double]
  /// True when the model saw only the beginning of the prompt.
  package var promptTokensTruncated: Bool

  package init(
    pictures: [Picture], secondsByStage: [PictureStage: Double], promptTokensTruncated: Bool
  ) {
    self.pictures = pictures
    self.secondsByStage = secondsByStage
    self.promptTokensTruncated = promptTokensTruncated
  }
}

/// Why no picture came.
package enum EngineError: Error, Sendable, Equatable {
  /// The calling task was cancelled.
  case cancelled
  /// The request cannot be drawn by this model; `param` is the API's name of the field.
  case invalidRequest(param: String?, message: String)
  /// The job's peak does not fit into what is free.
  case insufficientMemory(neededBytes: Int, availableBytes: Int)
  /// A failure of the engine; the message says what is wrong and what to do.
  case failed(message: String)
}

/// What an engine may use, set by heat.
package struct EngineLimits: Sendable, Equatable {
  /// Pictures in one pass, at least 1.
  package var batch: Int
  /// Threads that compute, at least 1.
  package var threads: Int
  /// Share of the time spent computing, above 0 and up to 1; the rest is slept between steps.
  package var pace: Double

  package init(batch: Int, threads: Int, pace: Double) {
    self.batch = batch
    self.threads = threads
    self.pace = pace
  }
}

/// Memory that an engine can give back; the next job that needs it makes it again.
package enum ReleasableMemory: Sendable {
  /// Plans and sessions that no job uses.
  case idlePlans
  /// Arenas and bound copies too.
  case everything
}
