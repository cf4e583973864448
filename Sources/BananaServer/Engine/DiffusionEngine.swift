package import Diffusion
import Dispatch
package import Execution
import Imaging
package import TensorTypes
package import Weights

/// The resident model on its own thread: draws one request at a time.
///
/// The backend's worker pool belongs to that thread; nothing here runs on Swift's cooperative
/// threads, so a long step never delays the sockets.
package actor DiffusionEngine: PictureEngine {
  nonisolated package let model: ModelDescription
  private let loaded: LoadedModel
  private let pipeline: Pipeline
  private let thread: EngineThread

  nonisolated package var unownedExecutor: UnownedSerialExecutor {
    thread.asUnownedSerialExecutor()
  }

  /// Compiles the plans of the model's usual request, so that the first picture takes no longer
  /// than the next.
  /// - Throws: `ExecutionError` if a weight is missing or malformed.
  package init(
    _ loaded: LoadedModel, backend: any Backend, activations: ActivationFormat
  ) throws(ExecutionError) {
    let pipeline = Pipeline(loaded, backend: backend, activations: activations)
    model = ModelDescription(
      loaded, peakBytes: try pipeline.prepare(), backend: backend.name)
    self.loaded = loaded
    self.pipeline = pipeline
    thread = EngineThread()
  }

  nonisolated package func check(_ peel: PeelFile) throws(PeelError) {
    try loaded.check(peel)
  }

  nonisolated package func batchKey(for request: PictureRequest) -> BatchKey {
    BatchKey(
      width: request.width, height: request.height, steps: request.steps ?? model.defaultSteps,
      isGuided: (request.guidance ?? model.defaultGuidance) > 1, textTokens: 0,
      peels: request.peels, editStrength: request.edit?.strength)
  }

  package func peakBytes(for key: BatchKey, pictures: Int) -> Int { model.nativeSize.peakBytes }

  nonisolated package func apply(_ limits: EngineLimits) {}

  package var residentBytes: Int { model.nativeSize.peakBytes }

  package func release(_ what: ReleasableMemory) {}

  package func generate(_ jobs: [PictureJob]) {
    for job in jobs {
      do throws(EngineError) {
        job.finish(.success(try draw(job)))
      } catch {
        job.finish(.failure(error))
      }
    }
  }

  private func draw(_ job: PictureJob) throws(EngineError) -> PictureResult {
    let request = job.request
    var pictures: [PictureResult.Picture] = []
    var encodeSeconds = 0.0
    let seeds = (0..<request.count).map { request.seed &+ UInt64($0) }
    let generation = GenerationRequest(
      prompt: request.prompt, style: request.style, size: request.width, steps: request.steps,
      guidance: request.guidance.map { Float($0) }, seeds: seeds)
    do throws(GenerationError) {
      let result = try pipeline.generate(generation) { step throws(GenerationError) in
        if job.isCancelled() { throw .cancelled }
        job.progress(PictureProgress(step, pictures: request.count))
      } finish: { index, picture throws(GenerationError) in
        job.progress(
          PictureProgress(
            stage: .encode, step: 0, steps: 1, picture: index, pictures: request.count))
        let start = ContinuousClock.now
        let shown = request.background == .opaque ? picture.composited(on: .white) : picture
        do throws(PNGError) {
          pictures.append(
            PictureResult.Picture(png: try PNG.encode(shown.pixels()), seed: seeds[index]))
        } catch { throw .encoding(error) }
        encodeSeconds += (ContinuousClock.now - start) / .seconds(1)
      }
      var seconds = Dictionary(
        uniqueKeysWithValues: result.secondsByStage.map { (PictureStage($0.key), $0.value) })
      seconds[.encode] = encodeSeconds
      return PictureResult(
        pictures: pictures, secondsByStage: seconds, promptTokensTruncated: result.isTruncated)
    } catch { throw EngineError(error) }
  }
}

/// Runs the engine's jobs one after another, away from the cooperative threads.
private final class EngineThread: SerialExecutor {
  private let queue = DispatchQueue(label: "banana.engine", qos: .userInitiated)

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedSerialExecutor()
    queue.async { job.runSynchronously(on: executor) }
  }
}

extension ModelDescription {
  fileprivate init(_ loaded: LoadedModel, peakBytes: Int, backend: String) {
    let manifest = loaded.manifest
    func size(_ side: Int) -> Size { Size(width: side, height: side, peakBytes: peakBytes) }
    self.init(
      name: manifest.name, family: manifest.family, version: manifest.version,
      description: manifest.description,
      licenses: manifest.licenses.map {
        License(what: $0.what, license: $0.license, source: $0.source)
      },
      styles: manifest.text.styles, defaultStyle: manifest.text.defaultStyle,
      sizes: manifest.sizes.map(size), nativeSize: size(manifest.nativeSize),
      defaultSteps: manifest.sampling.steps,
      defaultGuidance: Double(manifest.sampling.guidance),
      parameterCount: loaded.parameterCount, weightBytes: loaded.weightBytes, backend: backend)
  }
}

extension PictureStage {
  fileprivate init(_ stage: GenerationStage) {
    switch stage {
    case .text: self = .text
    case .denoise: self = .denoise
    case .decode: self = .decode
    }
  }
}

extension PictureProgress {
  fileprivate init(_ progress: GenerationProgress, pictures: Int) {
    self.init(
      stage: PictureStage(progress.stage), step: progress.step, steps: progress.steps,
      picture: progress.picture, pictures: pictures)
  }
}

extension EngineError {
  fileprivate init(_ error: GenerationError) {
    switch error {
    case .cancelled: self = .cancelled
    case .unknownStyle: self = .invalidRequest(param: "style", message: "\(error)")
    case .unknownSize: self = .invalidRequest(param: "size", message: "\(error)")
    case .execution, .encoding: self = .failed(message: "\(error)")
    }
  }
}
