package import Diffusion
package import Execution
import Models
import Synchronization
package import TensorTypes
import Weights

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One model on the engines' thread: draws jobs of equal shape in the same passes.
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
  private nonisolated let resident = Mutex(Residency())
  private let pipeline: Pipeline
  private var ration = ThreadRation()
  /// What is left to sleep of the last piece, seconds.
  private var owedRest = 0.0
  private let thread: EngineThread

  nonisolated package var unownedExecutor: UnownedSerialExecutor {
    thread.asUnownedSerialExecutor()
  }

  /// Plans, and computes nothing yet.
  /// - Parameters:
  ///   - sessionBytes: How much memory the networks' sessions may hold together.
  ///   - thread: All engines with this backend share it.
  package init(
    _ loaded: LoadedModel, backend: any Backend, activations: ActivationFormat,
    sessionBytes: Int = MemoryGovernor.sessionBytes, thread: EngineThread = EngineThread()
  ) {
    let pipeline = Pipeline(
      loaded, backend: backend, activations: activations, sessionBytes: sessionBytes)
    model = ModelDescription(loaded, plans: pipeline.plans, backend: backend.name)
    self.loaded = loaded
    self.backend = backend
    plans = pipeline.plans
    self.pipeline = pipeline
    self.thread = thread
  }

  /// Compiles the plans of the model's usual request, so that the first picture takes no longer
  /// than the next.
  /// - Throws: `ExecutionError` if a weight is missing or malformed.
  package func prepare() throws(ExecutionError) {
    try pipeline.prepare()
    noteResident()
  }

  nonisolated package func prepare(_ peel: OpenPeel, isWanted: @Sendable () -> Bool) throws {
    try peel.prepare(for: loaded.peelSites, isWanted: isWanted)
  }

  nonisolated package func isPrepared(_ peel: OpenPeel) -> Bool {
    peel.isPrepared(for: loaded.peelSites)
  }

  nonisolated package func batchKey(for request: PictureRequest) -> BatchKey {
    BatchKey(
      model: model.name, size: request.size,
      steps: request.steps ?? model.defaultSteps,
      sampler: request.sampler ?? model.defaultSampler, spacing: request.spacing,
      isGuided: loaded.facts.sampling.hasNegativePrompt(guidance: request.guidance),
      textTokens: loaded.textTokens(of: request),
      peels: request.peels, editStrength: request.isEdit ? request.strength : nil)
  }

  nonisolated package func peakBytes(for key: BatchKey, pictures: Int) async -> Int {
    // Peels that do not fit the model are refused later, with the reason.
    let mix = try? PeelMix(key.peels, for: loaded.peelSites)
    guard let size = loaded.facts.offered(key.size) else { return 0 }
    return plans.passPeakBytes(
      pictures: pictures, of: size, isGuided: key.isGuided, tokens: key.textTokens,
      peels: mix?.layout, hasSource: key.editStrength != nil, resident: resident.withLock { $0 })
  }

  nonisolated package func apply(_ limits: EngineLimits) {
    self.limits.withLock { $0 = limits }
  }

  nonisolated package var residentBytes: Int { resident.withLock { $0.byteCount } }

  package func release(_ what: ReleasableMemory) {
    switch what {
    case .idlePlans: pipeline.releaseUnused()
    case .everything: pipeline.releaseAll()
    }
    noteResident()
  }

  package func generate(_ jobs: [PictureJob], yields: @Sendable () -> Bool) -> [Double] {
    let drawings = jobs.map { JobDrawing.of($0, model: model) }
    pipeline.mark()
    let start = ContinuousClock.now
    var waiting = drawings
    while let first = waiting.first {
      // Only equals, whatever was put into one batch.
      let equals = waiting.filter { $0.request.sharesPass(with: first.request) }
      waiting.removeAll { $0.request.sharesPass(with: first.request) }
      do throws(GenerationError) {
        if draw(equals, in: try pipeline.begin(first.request), yields) { break }
      } catch {
        for drawing in equals { drawing.end(.failure(.generation(error))) }
      }
    }
    noteResident()
    for drawing in drawings { drawing.pause() }
    return Self.shares(
      of: (ContinuousClock.now - start).seconds, like: drawings.map(\.turnSeconds))
  }

  /// The whole of a turn, what nobody in particular caused included, divided as what each job took.
  static func shares(of seconds: Double, like parts: [Double]) -> [Double] {
    let sum = parts.reduce(0, +)
    return parts.map { sum > 0 ? seconds * $0 / sum : seconds / Double(parts.count) }
  }

  private func noteResident() {
    resident.withLock { $0 = pipeline.residency }
  }

  /// Works on the pictures, as many at a time as the limits allow, until there are none left or
  /// others want their turn.
  /// - Returns: Whether others do.
  private func draw(
    _ drawings: [JobDrawing], in denoising: Denoising, _ yields: () -> Bool
  ) -> Bool {
    var active: [PicturePlace] = []
    repeat {
      for place in active where !place.drawing.isWanted { denoising.remove(place.picture) }
      active.removeAll { !$0.drawing.isWanted }
      setAside(&active, in: denoising)
      if !active.contains(where: { denoising.isDone($0.picture) }) {
        let isOver = fill(&active, from: drawings, in: denoising, yields)
        if isOver { break }
        if active.isEmpty { return false }
      }
      if let index = active.firstIndex(where: { denoising.isDone($0.picture) }) {
        let place = active.remove(at: index)
        denoising.remove(place.picture)
        finish(place)
        noteResident()
      } else {
        step(active, in: denoising)
      }
    } while !yields()
    for place in active.reversed() { place.drawing.keep(place) }
    return true
  }

  /// Lets pictures wait, the last that came first, when the limits have fallen since they began.
  private func setAside(_ active: inout [PicturePlace], in denoising: Denoising) {
    let room = max(1, limits.withLock { $0.batch })
    while active.count > room,
      let index = active.lastIndex(where: { !denoising.isDone($0.picture) })
    {
      let place = active.remove(at: index)
      denoising.remove(place.picture)
      place.drawing.keep(place)
    }
  }

  /// Begins pictures while there is room. Texts are encoded one job's after the other's, and no
  /// more once others want their turn.
  /// - Returns: Whether they do.
  private func fill(
    _ active: inout [PicturePlace], from drawings: [JobDrawing], in denoising: Denoising,
    _ yields: () -> Bool
  ) -> Bool {
    let room = max(1, limits.withLock { $0.batch })
    var hasEncoded = false
    for drawing in drawings where active.count < room {
      if drawing.conditioning == nil, drawing.isWanted {
        if hasEncoded, yields() { return true }
        hasEncoded = true
        drawing.prepare { (request) throws(GenerationError) in
          try paced(.text, sharedBy: [drawing]) { () throws(GenerationError) in
            try pipeline.prepare(request)
          }
        }
      }
      if let lead = active.first?.drawing, lead.conditioning?.shape != drawing.conditioning?.shape {
        continue
      }
      while active.count < room, let place = drawing.nextPicture(in: denoising) {
        if !active.contains(where: { $0.drawing === drawing }) {
          drawing.report(
            .denoise, place.picture.step, of: denoising.steps, picture: place.index)
        }
        active.append(place)
      }
    }
    return hasEncoded && yields()
  }

  /// Takes pictures of equal shape one step on.
  private func step(_ active: [PicturePlace], in denoising: Denoising) {
    do throws(GenerationError) {
      try paced(.denoise, sharedBy: active.map(\.drawing)) { () throws(GenerationError) in
        do throws(ExecutionError) { try denoising.advance() } catch { throw .execution(error) }
      }
      report(active, of: denoising.steps)
      for place in active { preview(place, denoising) }
    } catch {
      for place in active { place.drawing.end(.failure(.generation(error))) }
    }
  }

  /// Tells each job once that a step of its pictures is done.
  private func report(_ places: [PicturePlace], of steps: Int) {
    for (index, place) in places.enumerated()
    where !places[..<index].contains(where: { $0.drawing === place.drawing }) {
      place.drawing.report(.denoise, place.picture.step, of: steps, picture: place.index)
    }
  }

  /// Shows what the picture would be by now, if a preview is due after this step.
  private func preview(_ place: PicturePlace, _ denoising: Denoising) {
    guard
      let number = place.drawing.previewNumber(after: place.picture.step, of: denoising.steps)
    else { return }
    place.drawing.perform { (drawing) throws(GenerationError) in
      let latents = denoising.cleanEstimate(of: place.picture)
      try paced(.denoise, sharedBy: [drawing]) { () throws(GenerationError) in
        let picture = try pipeline.preview(latents, of: drawing.conditioning!)
        drawing.show(picture, as: number, of: place.index)
      }
    }
  }

  private func finish(_ place: PicturePlace) {
    place.drawing.perform { (drawing) throws(GenerationError) in
      drawing.report(.decode, 0, of: 1, picture: place.index)
      let picture = try paced(.decode, sharedBy: [drawing]) { () throws(GenerationError) in
        try pipeline.decode(place.picture.latents, of: drawing.conditioning!)
      }
      if pipeline.hasOverflowed || !place.picture.latents.allSatisfy(\.isFinite) {
        drawing.noteOverflow(place.index)
      }
      drawing.report(.decode, 1, of: 1, picture: place.index)
      drawing.report(.encode, 0, of: 1, picture: place.index)
      try paced(.encode, sharedBy: [drawing]) { () throws(GenerationError) in
        drawing.take(picture, of: place.index)
      }
      drawing.report(.encode, 1, of: 1, picture: place.index)
      drawing.endIfComplete()
    }
  }

  /// Does a piece of work on as many threads as the limits grant, notes its time for the jobs of
  /// the pictures that share it, and sleeps as long as the pace wants.
  private func paced<Result>(
    _ stage: PictureStage, sharedBy drawings: [JobDrawing],
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
    let rested = rest(after: seconds, sharedBy: drawings)
    let part = 1 / Double(drawings.count)
    for drawing in drawings { drawing.took(seconds * part, rest: rested * part, in: stage) }
    return result
  }

  /// Sleeps after a piece of work as long as the limits want, at most a minute; less as soon as
  /// they want less. When nobody wants the pictures any more, the rest is left to the next piece.
  /// - Returns: How long that was, seconds.
  private func rest(after seconds: Double, sharedBy drawings: [JobDrawing]) -> Double {
    let start = ContinuousClock.now
    var rested = 0.0
    while true {
      let wanted = ThreadRation.restSeconds(after: seconds, under: limits.withLock { $0 })
      let left = wanted > 0 ? min(wanted + owedRest, 60) - rested : 0
      // All of them are asked: each that was cancelled ends here.
      let isWanted = !drawings.filter(\.isWanted).isEmpty
      guard left > 0, isWanted else {
        owedRest = max(left, 0)
        return rested
      }
      usleep(UInt32(min(left, 0.05) * 1e6))
      rested = (ContinuousClock.now - start).seconds
    }
  }
}

extension ModelDescription {
  fileprivate init(_ loaded: LoadedModel, plans: NetworkPlans, backend: String) {
    let (manifest, facts) = (loaded.manifest, loaded.facts)
    let native = facts.offered(facts.nativeSize)!
    self.init(
      name: manifest.name, family: manifest.family, version: manifest.version,
      description: manifest.description,
      licenses: manifest.licenses.map {
        License(what: $0.what, license: $0.license, source: $0.source)
      },
      styles: facts.prompt.styles, defaultStyle: facts.prompt.defaultStyle,
      sizes: facts.sizes, nativeSize: native,
      peakBytes: plans.passPeakBytes(
        pictures: 1, of: native, isGuided: facts.sampling.hasNegativePrompt(guidance: nil),
        tokens: loaded.textTokens(of: PictureRequest(prompt: "", size: native.size)), peels: nil,
        hasSource: false, resident: Residency()),
      isOpaque: facts.pixels == .rgb, defaultSteps: facts.sampling.steps,
      defaultGuidance: facts.sampling.guidance,
      defaultSampler: facts.sampling.sampler, samplers: facts.noise.samplers,
      defaultSpacing: facts.noise.spacing, spacings: facts.noise.spacings,
      guidanceForm: facts.sampling.guidanceForm,
      maximumClipSkip: facts.prompt.skippableLayers + 1,
      parameterCount: loaded.parameterCount, weightBytes: loaded.weightBytes, backend: backend)
  }
}
