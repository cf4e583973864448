package import Diffusion
import Dispatch
package import Execution
import Synchronization
package import TensorTypes
package import Weights

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The resident model on its own thread: draws jobs of equal shape in the same passes.
///
/// The backend's worker pool belongs to that thread; nothing here runs on Swift's cooperative
/// threads, so a long step never delays the sockets.
package actor DiffusionEngine: PictureEngine {
  nonisolated package let model: ModelDescription
  private nonisolated let loaded: LoadedModel
  private nonisolated let backend: any Backend
  private nonisolated let plans: NetworkPlans
  /// Until somebody sets others, all threads that the backend has.
  private nonisolated let limits = Mutex(EngineLimits(batch: 4, threads: 1024, pace: 1))
  /// What was resident when the last pass ended: told without waiting for the engine.
  private nonisolated let resident = Mutex((bytes: 0, networks: Set<NetworkKey>()))
  private let pipeline: Pipeline
  private var ration = ThreadRation()
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
    try pipeline.prepare()
    resident.withLock { $0 = (pipeline.residentBytes, pipeline.residentNetworks) }
    model = ModelDescription(loaded, plans: pipeline.plans, backend: backend.name)
    self.loaded = loaded
    self.backend = backend
    plans = pipeline.plans
    self.pipeline = pipeline
    thread = EngineThread()
  }

  nonisolated package func check(_ peel: PeelFile) throws(PeelError) { try loaded.check(peel) }

  nonisolated package func batchKey(for request: PictureRequest) -> BatchKey {
    BatchKey(
      width: request.width, height: request.height, steps: request.steps ?? model.defaultSteps,
      isGuided: (request.guidance ?? model.defaultGuidance) != 1,
      textTokens: loaded.textTokens(of: request.prompt, style: request.style),
      peels: request.peels, editStrength: request.edit?.strength)
  }

  nonisolated package func peakBytes(for key: BatchKey, pictures: Int) async -> Int {
    // Peels that do not fit the model are refused later, with the reason.
    let layout = try? PeelMix.layout(of: key.peels.map(\.weighted), for: loaded)
    return plans.passPeakBytes(
      pictures: pictures, isGuided: key.isGuided, tokens: key.textTokens, peels: layout,
      hasSource: key.editStrength != nil, resident: resident.withLock { $0.networks })
  }

  nonisolated package func apply(_ limits: EngineLimits) {
    self.limits.withLock { $0 = limits }
  }

  nonisolated package var residentBytes: Int { resident.withLock { $0.bytes } }

  package func release(_ what: ReleasableMemory) {
    switch what {
    case .idlePlans: pipeline.releaseUnused()
    case .everything: pipeline.releaseAll()
    }
    noteResident()
  }

  package func generate(_ jobs: [PictureJob]) {
    pipeline.mark()
    let drawings = jobs.map { JobDrawing($0, model: model) }
    for drawing in drawings {
      drawing.encodePrompt { (drawing) throws(GenerationError) in
        drawing.subject = try pipeline.prepare(drawing.drawing, drawing.settings)
      }
    }
    var waiting = drawings.flatMap { drawing in
      (0..<drawing.request.count).map { PicturePlace(drawing: drawing, index: $0) }
    }
    while true {
      waiting.removeAll { !$0.drawing.isWanted }
      guard let lead = waiting.first?.drawing else { break }
      // Only equals, whatever was put into one batch.
      let room = max(1, limits.withLock { $0.batch })
      let pass = Array(waiting.lazy.filter { $0.drawing.canShareAPass(with: lead) }.prefix(room))
      waiting.removeAll { place in pass.contains { $0.isSame(as: place) } }
      draw(pass)
      noteResident()
    }
    noteResident()
  }

  private func noteResident() {
    resident.withLock { $0 = (pipeline.residentBytes, pipeline.residentNetworks) }
  }

  /// Draws pictures of equal shape in one pass.
  private func draw(_ pass: [PicturePlace]) {
    var live = Array(pass.indices)
    let settings = pass[0].drawing.settings
    do throws(GenerationError) {
      let denoising = try pipeline.begin(
        pass.map { ($0.drawing.subject!, $0.seed) }, settings)
      report(0, of: denoising.steps, pass)
      while !denoising.isDone {
        for index in live where !pass[index].drawing.isWanted { denoising.remove(index) }
        live.removeAll { !pass[$0].drawing.isWanted }
        if live.isEmpty { return }
        try paced(.denoise, sharedBy: live.map { pass[$0] }) { () throws(GenerationError) in
          do throws(ExecutionError) { try denoising.advance() } catch { throw .execution(error) }
        }
        report(denoising.step, of: denoising.steps, live.map { pass[$0] })
        for index in live { preview(pass[index], denoising, index) }
      }
      for index in live where pass[index].drawing.isWanted {
        finish(pass[index], latents: denoising.latents(of: index))
      }
    } catch {
      for index in live { pass[index].drawing.end(.failure(EngineError(error))) }
    }
  }

  /// Tells each job once that a step of its pictures is done.
  private func report(_ step: Int, of steps: Int, _ pass: [PicturePlace]) {
    for (index, place) in pass.enumerated()
    where !pass[..<index].contains(where: { $0.drawing === place.drawing }) {
      place.drawing.report(.denoise, step, of: steps, picture: place.index)
    }
  }

  /// Shows what the picture would be by now, if a preview is due after this step.
  private func preview(_ place: PicturePlace, _ denoising: Denoising, _ index: Int) {
    let drawing = place.drawing
    guard let number = drawing.previewNumber(after: denoising.step, of: denoising.steps) else {
      return
    }
    let latents = denoising.cleanEstimate(of: index)
    drawing.perform { (drawing) throws(GenerationError) in
      let picture = try paced(.denoise, sharedBy: [place]) { () throws(GenerationError) in
        try pipeline.decode(latents, of: drawing.subject!, drawing.settings)
      }
      drawing.show(picture, as: number, of: place.index)
    }
  }

  private func finish(_ place: PicturePlace, latents: [Float]) {
    place.drawing.perform { (drawing) throws(GenerationError) in
      drawing.report(.decode, 0, of: 1, picture: place.index)
      let picture = try paced(.decode, sharedBy: [place]) { () throws(GenerationError) in
        try pipeline.decode(latents, of: drawing.subject!, drawing.settings)
      }
      drawing.report(.decode, 1, of: 1, picture: place.index)
      drawing.report(.encode, 0, of: 1, picture: place.index)
      try paced(.encode, sharedBy: [place]) { () throws(GenerationError) in
        drawing.take(picture, seed: place.seed)
      }
      drawing.report(.encode, 1, of: 1, picture: place.index)
      drawing.endIfComplete()
    }
  }

  /// Does a piece of work on as many threads as the limits grant, notes its time for the pictures
  /// that share it, and sleeps as long as the pace wants.
  private func paced<Result>(
    _ stage: PictureStage, sharedBy places: [PicturePlace],
    _ work: () throws(GenerationError) -> Result
  ) throws(GenerationError) -> Result {
    let limits = limits.withLock { $0 }
    let threads = ration.threads(under: limits)
    backend.limitThreads(to: threads)
    let start = ContinuousClock.now
    let result = try work()
    let seconds = (ContinuousClock.now - start).seconds
    // A file is encoded on one thread whatever is granted.
    if stage != .encode { ration.note(seconds: seconds, on: threads, under: limits) }
    for place in places {
      place.drawing.seconds[stage, default: 0] += seconds / Double(places.count)
    }
    let rest = ThreadRation.restSeconds(after: seconds, under: self.limits.withLock { $0 })
    if rest > 0 { usleep(UInt32(min(rest, 60) * 1e6)) }
    return result
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
  fileprivate init(_ loaded: LoadedModel, plans: NetworkPlans, backend: String) {
    let manifest = loaded.manifest
    let peakBytes = plans.passPeakBytes(
      pictures: 1, isGuided: manifest.sampling.guidance != 1,
      tokens: loaded.textTokens(of: "", style: nil), peels: nil, hasSource: false, resident: [])
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
      defaultGuidance: manifest.sampling.guidance,
      parameterCount: loaded.parameterCount, weightBytes: loaded.weightBytes, backend: backend)
  }
}

extension PeelUse {
  var weighted: WeightedPeel { WeightedPeel(file: peel.file, strength: strength) }
}

extension EngineError {
  init(_ error: GenerationError) {
    switch error {
    case .unknownStyle: self = .invalidRequest(param: "style", message: "\(error)")
    case .unknownSize: self = .invalidRequest(param: "size", message: "\(error)")
    case .fixedGuidance: self = .invalidRequest(param: "guidance", message: "\(error)")
    case .noSchedule: self = .invalidRequest(param: "strength", message: "\(error)")
    case .peel, .excessiveRank: self = .invalidRequest(param: "peels", message: "\(error)")
    case .execution, .unequalShapes: self = .failed(message: "\(error)")
    }
  }
}
