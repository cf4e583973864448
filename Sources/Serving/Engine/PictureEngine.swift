package import Diffusion
package import Imaging
package import Models

/// What the daemon asks of the thing that draws.
///
/// An engine does its work on threads of its own, never on the cooperative pool.
package protocol PictureEngine: GovernedEngine {
  /// The model, as it is told to clients.
  var model: ModelDescription { get }

  /// Makes ready for the model's usual request; called once, before anything else that computes.
  /// - Throws: What is wrong with the model, and what to do.
  func prepare() async throws

  /// Checks that a peel was made for the model, and works out what drawing with it needs, which may
  /// take a minute of a thread.
  /// - Throws: `PeelError`, or `CancellationError` when it is not wanted any more.
  func prepare(_ peel: OpenPeel, isWanted: @Sendable () -> Bool) throws

  /// Whether that was done.
  func isPrepared(_ peel: OpenPeel) -> Bool

  /// Requests with equal keys can be drawn in the same passes.
  func batchKey(for request: PictureRequest) -> BatchKey

  /// Bytes that drawing so many pictures of this key in one pass takes at its peak beside what is
  /// resident now.
  func peakBytes(for key: BatchKey, pictures: Int) async -> Int

  /// Draws jobs of equal keys together: at most `limits.batch` pictures at a time, each picture bit
  /// for bit what it would be alone.
  ///
  /// Returns when all jobs are finished, each exactly once through its `finish`; or sooner, when
  /// `yields` says so, which is asked between any two pieces of work: a denoising step, or the end
  /// of one picture. Jobs that are not finished then go on where they were when they are given in
  /// again. One call at a time.
  /// - Returns: For each job, the seconds of the engine that it took in this call; what jobs shared
  ///   is divided among them.
  func generate(_ jobs: [PictureJob], yields: @Sendable () -> Bool) async -> [Double]

  /// Takes effect with the next denoising step; any thread may call it.
  func apply(_ limits: EngineLimits)
}

/// How much of the machine the engine may use at once.
package struct EngineLimits: Sendable, Equatable {
  /// Pictures in one pass, at least 1.
  package var batch: Int
  /// Threads that compute, at least 1.
  package var threads: Int
  /// The share of these threads' time that is spent computing, above 0 and at most 1; fewer of
  /// them make up for the rest, and what is below one thread is slept between steps.
  package var pace: Double

  package init(batch: Int, threads: Int, pace: Double) {
    precondition(batch >= 1 && threads >= 1 && pace > 0 && pace <= 1)
    self.batch = batch
    self.threads = threads
    self.pace = pace
  }
}

/// What an engine can give back between two jobs.
package enum ReleasableMemory: Sendable {
  case idlePlans
  /// Arenas and bound copies too; rebuilt by the next job.
  case everything
}

/// What has to be equal for two requests to be drawn in one pass.
package struct BatchKey: Hashable, Sendable {
  /// Its name.
  package var model: String
  package var size: PictureSize
  package var steps: Int
  package var sampler: Sampler
  /// As the request says it.
  package var spacing: TimestepSpacing?
  package var isGuided: Bool
  package var textTokens: Int
  package var peels: [PeelUse]
  package var editStrength: Float?

  package init(
    model: String, size: PictureSize, steps: Int, sampler: Sampler,
    spacing: TimestepSpacing?, isGuided: Bool, textTokens: Int, peels: [PeelUse],
    editStrength: Float?
  ) {
    self.model = model
    self.size = size
    self.steps = steps
    self.sampler = sampler
    self.spacing = spacing
    self.isGuided = isGuided
    self.textTokens = textTokens
    self.peels = peels
    self.editStrength = editStrength
  }
}

/// One request on its way through the engine, with the ways to talk back; all of them are called on
/// the engine's thread.
package struct PictureJob: Sendable {
  package var request: PictureRequest
  /// Looked at before each step; a cancelled job leaves the batch, the others go on.
  package var isCancelled: @Sendable () -> Bool
  package var progress: @Sendable (PictureProgress) -> Void
  /// Only called when `request.previews > 0`.
  package var preview: @Sendable (PicturePreview) -> Void
  package var finish: @Sendable (Result<PictureResult, EngineError>) -> Void
  /// The same in each call that draws the job.
  package let state: EngineState

  package init(
    request: PictureRequest, state: EngineState = EngineState(),
    isCancelled: @escaping @Sendable () -> Bool,
    progress: @escaping @Sendable (PictureProgress) -> Void,
    preview: @escaping @Sendable (PicturePreview) -> Void,
    finish: @escaping @Sendable (Result<PictureResult, EngineError>) -> Void
  ) {
    self.request = request
    self.state = state
    self.isCancelled = isCancelled
    self.progress = progress
    self.preview = preview
    self.finish = finish
  }
}

/// What an engine keeps of a job that is not finished.
package final class EngineState: @unchecked Sendable {
  /// Belongs to the engine's thread, and to whoever lets go of the job last.
  package var content: AnyObject?

  package init() {}
}

/// A picture before it is done.
package struct PicturePreview: Sendable {
  /// A whole PNG file.
  package var png: [UInt8]
  /// 0..<previews.
  package var index: Int
  /// Index of the picture in its request, from 0.
  package var picture: Int

  package init(png: [UInt8], index: Int, picture: Int) {
    self.png = png
    self.index = index
    self.picture = picture
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
  package var omitted: OmittedTexts
  /// Indices of the pictures whose numbers overflowed: they show nothing that was asked for.
  package var overflowed: [Int]
  /// True when the model knows no word of the prompt.
  package var isPromptUnknown: Bool

  package init(
    pictures: [Picture], secondsByStage: [PictureStage: Double],
    omitted: OmittedTexts = OmittedTexts(),
    overflowed: [Int] = [], isPromptUnknown: Bool = false
  ) {
    self.pictures = pictures
    self.secondsByStage = secondsByStage
    self.omitted = omitted
    self.overflowed = overflowed
    self.isPromptUnknown = isPromptUnknown
  }
}

/// Why no picture came.
package enum EngineError: Error, Sendable, Equatable {
  /// The job was cancelled between two steps.
  case cancelled
  /// The request cannot be drawn by this model, or drawing failed.
  case generation(GenerationError)
  /// The picture cannot be written as a file.
  case file(PNGError)
  /// The job's peak does not fit into what is free.
  case insufficientMemory(neededBytes: Int, availableBytes: Int)
  /// The engine has returned without having ended the job.
  case lost
}
