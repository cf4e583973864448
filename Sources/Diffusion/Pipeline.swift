package import Execution
package import Imaging
import Models
package import TensorTypes
import Weights

/// The way from a prompt to pixels. It is used by one thread at a time.
package final class Pipeline {
  package let model: LoadedModel
  private let conditioner: TextConditioner
  private let networks: BoundModel

  package init(_ model: LoadedModel, backend: any Backend, activations: ActivationFormat) {
    self.model = model
    networks = BoundModel(
      family: model.family, stores: model.stores, backend: backend, activations: activations)
    conditioner = TextConditioner(model: model, networks: networks)
  }

  /// What drawing would take; may be asked from any thread.
  package var plans: NetworkPlans { networks.plans }
  /// What is held beside the mapped weights.
  package var residency: Residency { networks.residency }
  /// How often a network was compiled.
  package var compilationCount: Int { networks.compilationCount }

  /// Compiles the plans of the usual request, so that the first picture takes no longer than the
  /// next.
  package func prepare() throws(ExecutionError) {
    let tokens = TextConditioner.lengths[0]
    let isGuided = model.manifest.sampling.guidance != 1
    _ = try conditioner.unconditional(length: tokens, peels: nil)
    _ = try networks.session(.denoiser, batch: isGuided ? 2 : 1, tokens: tokens)
    _ = try networks.session(.decoder, batch: 1)
  }

  /// From here on, networks count as used.
  package func mark() { networks.mark() }

  /// Gives back the networks that were not used since `mark()`.
  package func releaseUnused() { networks.releaseUnused() }

  /// Gives back everything beside the mapped weights.
  package func releaseAll() {
    networks.releaseAll()
  }

  /// Encodes what a drawing's pictures have in common.
  package func prepare(
    _ drawing: Drawing, _ settings: PassSettings
  ) throws(GenerationError) -> Subject {
    let prompt = try model.prompt(drawing.prompt, style: drawing.style)
    guard model.manifest.sizes.contains(settings.size) else {
      throw .unknownSize(settings.size, known: model.manifest.sizes)
    }
    let guidance = drawing.guidance ?? model.manifest.sampling.guidance
    if model.manifest.sampling.sampler == .consistency, guidance != 1 {
      throw .fixedGuidance(guidance)
    }
    // Before other jobs are in the pass.
    _ = try schedule(settings)
    let mix = try PeelMix(settings.peels, for: model.peelSites)
    return try execution { () throws(ExecutionError) in
      let conditional = try conditioner.encode(prompt, peels: mix)
      return Subject(
        conditional: conditional,
        unconditional: guidance == 1
          ? nil : try conditioner.unconditional(length: conditional.tokens, peels: mix),
        guidance: guidance,
        source: try drawing.source.map { (source) throws(ExecutionError) in
          try encode(source, size: settings.size)
        }, isUnknown: !model.knowsWord(of: drawing.prompt))
    }
  }

  /// Makes ready for passes of these settings; the pictures come later.
  package func begin(_ settings: PassSettings) throws(GenerationError) -> Denoising {
    try Denoising(
      schedule(settings), sampler: model.manifest.sampling.sampler, networks: networks,
      peels: PeelMix(settings.peels, for: model.peelSites))
  }

  private func schedule(_ settings: PassSettings) throws(GenerationError) -> NoiseSchedule {
    let sampling = model.manifest.sampling
    return try NoiseSchedule(
      steps: settings.steps ?? sampling.steps, shift: sampling.sigmaShift,
      strength: settings.strength)
  }

  /// Whether the picture that was decoded last had NaN or infinity, which are shown as nothing.
  package private(set) var hasOverflowed = false

  /// Pixels of latents `[token, channel]` in the denoiser's scale, with what a source keeps.
  package func decode(
    _ latents: [Float], of subject: Subject, _ settings: PassSettings
  ) throws(GenerationError) -> PremultipliedImage {
    let statistics = model.manifest.latents
    let channels = model.family.latentShape.last
    let session = try execution { () throws(ExecutionError) in
      let session = try networks.session(.decoder, batch: 1)
      let scaled = latents.indices.map { index in
        let channel = index % channels
        return latents[index] * statistics.standardDeviation[channel] + statistics.mean[channel]
      }
      session.write(scaled, to: "latents")
      try session.run()
      return session
    }
    let side = model.family.nativeSize
    let range = model.manifest.alphaRange ?? [0, 1]
    let picture = session.withOutput("pixels") { pixels in
      pixels.withUnsafeBufferPointer { pixels in
        hasOverflowed = pixels.contains { !$0.isFinite }
        return PremultipliedImage(
          width: side, height: side, output: pixels, alphaRange: range[0]...range[1])
      }
    }.boxAveraged(by: side / settings.size)
    return subject.source?.completing(picture) ?? picture
  }

  private func encode(
    _ source: SourcePicture, size: Int
  ) throws(ExecutionError) -> EncodedSource {
    let source = source.fitted(side: model.family.nativeSize, size: size)
    let session = try networks.session(.encoder, batch: 1)
    session.write(source.image.values, to: "pixels")
    try session.run()
    let statistics = model.manifest.latents
    let shape = model.family.latentShape
    let latents = session.read("latents").enumerated().map { index, value in
      let channel = index % shape.last
      return (value - statistics.mean[channel]) / statistics.standardDeviation[channel]
    }
    guard let mask = source.mask else {
      return EncodedSource(latents: latents, keptTokens: [], kept: nil)
    }
    return EncodedSource(
      latents: latents,
      keptTokens: SourcePicture.keptTokens(mask, columns: shape[1], rows: shape[0]),
      kept: source.keptPictures)
  }

}

/// Turns execution errors into generation errors.
private func execution<Result>(
  _ body: () throws(ExecutionError) -> Result
) throws(GenerationError) -> Result {
  do { return try body() } catch { throw .execution(error) }
}

/// Memory that a pass takes.
extension NetworkPlans {
  /// Bytes at the peak of drawing beside what is resident.
  /// - Parameters:
  ///   - pictures: In one pass.
  ///   - tokens: What their prompts are padded to.
  ///   - peels: The layout of their mix.
  ///   - resident: What is held already, and taken once.
  package func passPeakBytes(
    pictures: Int, isGuided: Bool, tokens: Int, peels: PeelLayout?, hasSource: Bool,
    resident: Residency
  ) -> Int {
    var networks = [
      key(.textEncoder, batch: 1, tokens: tokens),
      key(.context, batch: 1, tokens: tokens, peels: peels),
      key(.denoiser, batch: pictures * (isGuided ? 2 : 1), tokens: tokens, peels: peels),
      key(.decoder, batch: 1),
    ]
    if hasSource { networks.append(key(.encoder, batch: 1)) }
    // A picture's latents three times, and pixels in f32 as often on their way to PNG.
    let pixels = 16 * family.nativeSize * family.nativeSize
    return peakBytes(of: networks, beside: resident) + pictures * 12 * family.latentShape.count + 3
      * pixels
  }
}
