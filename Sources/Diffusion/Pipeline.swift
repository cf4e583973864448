package import Execution
import Imaging
package import Models
package import TensorTypes
import Weights

/// The way from a prompt to pixels. It is used by one thread at a time.
package final class Pipeline {
  package let model: LoadedModel
  private let promptEncoder: PromptEncoder
  private let networks: BoundModel

  /// - Parameter sessionBytes: How much memory the networks' sessions may hold together.
  package init(
    _ model: LoadedModel, backend: any Backend, activations: ActivationFormat,
    sessionBytes: Int = .max
  ) {
    self.model = model
    networks = BoundModel(
      family: model.family, stores: model.stores, backend: backend, activations: activations,
      sessionBytes: sessionBytes)
    promptEncoder = PromptEncoder(model: model, networks: networks)
  }

  /// What drawing would take; may be asked from any thread.
  package var plans: NetworkPlans { networks.plans }
  /// What is held beside the mapped weights.
  package var residency: Residency { networks.residency }

  /// Compiles the plans of the usual request, so that the first picture takes no longer than the
  /// next.
  package func prepare() throws(ExecutionError) {
    let facts = model.facts
    let empty = model.tokenized("")
    let text = try promptEncoder.encode(
      empty, tokens: model.paddedLength(of: empty), skippedLayers: 0, peels: nil)
    guard let size = facts.offered(facts.nativeSize) else { return }
    let batch = facts.sampling.hasNegativePrompt(guidance: nil) ? 2 : 1
    _ = try networks.session(
      model.family.network(.denoiser).name,
      facts.extents(of: size, batch: batch, tokens: text.tokens))
    _ = try networks.session(model.family.network(.decoder).name, facts.extents(of: size))
  }

  /// From here on, networks count as used.
  package func mark() { networks.mark() }

  /// Gives back the networks that were not used since `mark()`.
  package func releaseUnused() { networks.releaseUnused() }

  /// Gives back everything beside the mapped weights.
  package func releaseAll() {
    networks.releaseAll()
  }

  /// Encodes what the pictures of a request have in common.
  package func prepare(_ request: PictureRequest) throws(GenerationError) -> Conditioning {
    let prompt = model.tokenized(
      try model.prompt(request.prompt, style: request.style), words: request.words)
    let size = try offered(request.size)
    let sampling = model.facts.sampling
    let guidance = request.guidance ?? sampling.guidance
    if sampling.guidanceForm == .folded, guidance != 1 { throw .fixedGuidance(guidance) }
    let skippedLayers = (request.clipSkip ?? 1) - 1
    guard 0...model.facts.prompt.skippableLayers ~= skippedLayers else {
      throw .clipSkip(skippedLayers + 1, maximum: model.facts.prompt.skippableLayers + 1)
    }
    if let image = request.images.first(where: { !takes($0.role) }) { throw .imageRole(image.role) }
    // Before other jobs are in the pass.
    _ = try schedule(request)
    let mix = try PeelMix(request.peels, for: model.peelSites)
    let negative =
      sampling.hasNegativePrompt(guidance: guidance)
      ? model.tokenized(request.negativePrompt, words: request.words) : nil
    // The networks behind see both at one length.
    let tokens = [prompt, negative].compactMap(\.self).map(model.paddedLength).max() ?? 0
    let fitted = request.fitted(to: size)
    return try execution { () throws(ExecutionError) in
      let source = try encodedSource(of: fitted, size)
      return Conditioning(
        size: size,
        conditional: try promptEncoder.encode(
          prompt, words: request.words, tokens: tokens, skippedLayers: skippedLayers, peels: mix),
        unconditional: try negative.map { (text) throws(ExecutionError) in
          try promptEncoder.encode(
            text, words: request.words, tokens: tokens, skippedLayers: skippedLayers, peels: mix)
        },
        guidance: guidance, source: source, readSource: try readSource(of: fitted, size, source),
        isUnknown: !model.knowsWord(of: request.prompt))
    }
  }

  private func takes(_ role: ImageInput.Role) -> Bool {
    switch role {
    case .source, .mask: !model.family.networks(.encoder).isEmpty
    case .reference, .control: false
    }
  }

  /// Makes ready for passes of requests that share one; the pictures come later.
  package func begin(_ request: PictureRequest) throws(GenerationError) -> Denoising {
    try Denoising(
      schedule(request), model.facts.extents(of: offered(request.size)), model: model,
      networks: networks, peels: PeelMix(request.peels, for: model.peelSites))
  }

  private func schedule(_ request: PictureRequest) throws(GenerationError) -> NoiseSchedule {
    let facts = model.facts
    let sampler = request.sampler ?? facts.sampling.sampler
    return try NoiseSchedule(
      facts.noise, sampler, request.spacing ?? facts.spacing(for: sampler),
      steps: request.steps ?? facts.sampling.steps, strength: request.strength)
  }

  private func offered(_ size: PictureSize) throws(GenerationError) -> OfferedSize {
    guard let offered = model.facts.offered(size) else {
      throw .unknownSize(size, known: model.facts.sizes.map(\.size))
    }
    return offered
  }

  /// Whether the picture that was decoded last had NaN or infinity, which are shown as nothing.
  package private(set) var hasOverflowed = false

  /// The picture of latents in the denoiser's scale, with what a source keeps; the decoder has run,
  /// what comes behind it does as rows are read.
  package func decode(
    _ latents: [Float], of conditioning: Conditioning
  ) throws(GenerationError) -> any RowSource {
    let (facts, size) = (model.facts, conditioning.size)
    return try execution { () throws(ExecutionError) in
      let extents = facts.extents(of: size)
      let decoder = Decoder(
        try networks.session(model.family.network(.decoder).name, extents), facts.latents,
        facts.pixels)
      let decoded = StagedRows(
        try StoredRows(
          width: extents.width, height: extents.height, format: decoder.input, values: latents),
        decoder)
      try decoded.makeReady()
      hasOverflowed = decoder.hasOverflowed
      return completed(decoded, of: conditioning)
    }
  }

  /// What latents of a picture that is not done look like.
  package func preview(
    _ latents: [Float], of conditioning: Conditioning
  ) throws(GenerationError) -> any RowSource {
    let (facts, size) = (model.facts, conditioning.size)
    guard facts.latents.colors != nil else { return try decode(latents, of: conditioning) }
    return try execution { () throws(ExecutionError) in
      let extents = facts.extents(of: size)
      let colors = LatentColors(facts.latents)
      let shown = StagedRows(
        try StoredRows(
          width: extents.width, height: extents.height, format: colors.input, values: latents),
        colors)
      return completed(shown, of: conditioning)
    }
  }

  /// At the size that was asked for, with what a source keeps.
  private func completed(_ drawn: StagedRows, of conditioning: Conditioning) -> any RowSource {
    var picture: any RowSource = drawn
    let shrinking = conditioning.size.shrinking
    if shrinking > 1 { picture = picture.through(BoxAverage(by: shrinking, .rgba)) }
    if let kept = conditioning.source?.kept {
      return picture.through(Completion(kept: kept.image, mask: kept.mask))
    }
    return model.facts.pixels == .rgb ? picture.through(Background(.white)) : picture
  }

  /// - Parameter request: Fitted to `size`.
  private func encodedSource(
    of request: PictureRequest, _ size: OfferedSize
  ) throws(ExecutionError) -> EncodedSource? {
    guard let source = request.image(.source) else { return nil }
    let extents = model.facts.extents(of: size)
    let latents = try encoded(values(of: source.image), extents)
    guard let mask = request.image(.mask) else {
      return EncodedSource(latents: latents, keptTokens: [], kept: nil)
    }
    return EncodedSource(
      latents: latents,
      keptTokens: EncodedSource.keptTokens(
        mask.image, columns: extents.width, rows: extents.height),
      kept: (source.atShownSize, mask.atShownSize))
  }

  /// What a denoiser that reads it is given of what is to be kept: all of it is to be drawn where
  /// there is no mask, and what is to be drawn is grey.
  /// - Parameter request: Fitted to `size`.
  private func readSource(
    of request: PictureRequest, _ size: OfferedSize, _ source: EncodedSource?
  ) throws(ExecutionError) -> [Float]? {
    guard model.facts.readsSource else { return nil }
    let (extents, channels) = (model.facts.extents(of: size), model.facts.latents.channels)
    let pixelChannels = model.facts.pixels.channels
    let pixels = size.drawn.width * size.drawn.height
    var kept = Array(repeating: Float(0), count: pixels * pixelChannels)
    if let image = request.image(.source)?.image, let mask = request.image(.mask)?.image {
      kept = values(of: image)
      for pixel in 0..<pixels where mask.rgba[pixel].w < 0.5 {
        for channel in 0..<pixelChannels { kept[pixel * pixelChannels + channel] = 0 }
      }
    }
    let latents = try encoded(kept, extents)
    var read: [Float] = []
    for place in 0..<extents.width * extents.height {
      let isKept = source?.isKept(place) ?? false
      read.append(isKept ? 0 : 1)
      read += latents[place * channels..<(place + 1) * channels]
    }
    return read
  }

  /// A picture's numbers as the encoder reads them.
  private func values(of image: PremultipliedImage) -> [Float] {
    switch model.facts.pixels {
    case .premultipliedRGBA: image.values
    case .rgb: image.rgbValues
    }
  }

  /// Latents in the denoiser's scale and order.
  private func encoded(
    _ pixels: [Float], _ extents: Extents
  ) throws(ExecutionError) -> [Float] {
    let space = model.facts.latents
    let session = try networks.session(model.family.network(.encoder).name, extents)
    session.write(pixels, to: "pixels")
    try session.run()
    return session.read("latents").enumerated().map { index, value in
      let channel = index % space.channels
      return (value - space.mean[channel]) / space.standardDeviation[channel]
    }
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
    pictures: Int, of size: OfferedSize, isGuided: Bool, tokens: Int, peels: PeelLayout?,
    hasSource: Bool, resident: Residency
  ) -> Int {
    let extents = facts.extents(of: size, tokens: tokens)
    let hasEncoder = hasSource || facts.readsSource
    let keys = family.networks.filter { $0.role != .encoder || hasEncoder }.map { network in
      var extents = extents
      if network.role == .denoiser { extents.batch = pictures * (isGuided ? 2 : 1) }
      if case .text(let tokenizer) = network.role {
        extents.tokens = facts.tokenizer(tokenizer).tokensAtOnce(of: tokens)
        // As if there were words of the user's, which take a little more than those without.
        extents.vectors = Extents.mostVectors
      }
      return key(network.name, extents, peels: peels)
    }
    // A picture's latents and their estimate, twice while a step is taken. Pixels are those of one
    // picture: in f32 behind the decoder, and in its file, which is hardly larger than 8 bits of
    // each channel; what comes in between are rows.
    let latents = 4 * facts.latents.channels * extents.height * extents.width
    let pixels = size.drawn.width * size.drawn.height
    return peakBytes(of: keys, beside: resident) + pictures * 3 * latents + (16 + 4) * pixels
  }
}
