package import Execution
package import Imaging
import Models
package import TensorTypes
import Text
import Weights

/// What to draw.
package struct GenerationRequest: Sendable, Equatable {
  package var prompt: String
  /// One of the model's styles; its default one if nil.
  package var style: String?
  /// Pixels on a side, one of the model's sizes.
  package var size: Int
  package var steps: Int?
  /// Strength of classifier-free guidance; 1 is none.
  package var guidance: Float?
  /// Seeds of the pictures, one each.
  package var seeds: [UInt64]

  package init(
    prompt: String, style: String? = nil, size: Int, steps: Int? = nil, guidance: Float? = nil,
    seeds: [UInt64]
  ) {
    self.prompt = prompt
    self.style = style
    self.size = size
    self.steps = steps
    self.guidance = guidance
    self.seeds = seeds
  }
}

/// The parts of a generation, in order.
package enum GenerationStage: String, Sendable, CaseIterable { case text, denoise, decode }

/// Where a generation stands.
package struct GenerationProgress: Sendable, Equatable {
  package let stage: GenerationStage
  /// Steps of the stage that are done for this picture.
  package let step: Int
  package let steps: Int
  package let picture: Int
}

/// Why no picture was drawn.
package enum GenerationError: Error, CustomStringConvertible {
  case cancelled
  case unknownStyle(String, known: [String])
  case unknownSize(Int, known: [Int])
  case execution(ExecutionError)
  case encoding(PNGError)

  package var description: String {
    switch self {
    case .cancelled: "the generation was cancelled"
    case .unknownStyle(let style, let known):
      "this model has no style \"\(style)\"; it has \(known.joined(separator: ", "))"
    case .unknownSize(let size, let known):
      "this model draws pictures of \(known.map(String.init).joined(separator: ", ")) pixels,"
        + " not \(size)"
    case .execution(let error): "\(error)"
    case .encoding(let error): "\(error)"
    }
  }
}

/// The way from a prompt to pixels. It is used by one thread at a time.
package final class Pipeline {
  package let model: LoadedModel
  private let conditioner: TextConditioner
  private let networks: BoundModel

  package init(_ model: LoadedModel, backend: any Backend, activations: ActivationFormat) {
    self.model = model
    networks = BoundModel(
      family: model.family, stores: model.stores, backend: backend, activations: activations)
    conditioner = TextConditioner(
      tokenizer: model.tokenizer, networks: networks,
      maximumTokens: model.manifest.text.maximumTokens)
  }

  /// Bytes of memory in use beside the mapped weights.
  package var residentBytes: Int { networks.residentBytes }

  /// Compiles the plans of the usual request, so that the first picture takes no longer than the
  /// next.
  /// - Returns: Bytes that drawing takes at its peak beside the mapped weights.
  package func prepare() throws(ExecutionError) -> Int {
    let tokens = TextConditioner.lengths[0]
    let isGuided = model.manifest.sampling.guidance != 1
    _ = try conditioner.unconditional(length: tokens)
    _ = try networks.session(.denoiser, batch: isGuided ? 2 : 1, tokens: tokens)
    _ = try networks.session(.decoder, batch: 1)
    return networks.residentBytes
  }

  /// Draws the pictures of a request, one after another.
  /// - Parameters:
  ///   - progress: Called when a stage begins and after each of its steps; what it throws ends the
  ///     generation.
  ///   - finish: Takes each picture as it is done.
  package func generate(
    _ request: GenerationRequest,
    progress: (GenerationProgress) throws(GenerationError) -> Void,
    finish: (_ index: Int, _ picture: PremultipliedImage) throws(GenerationError) -> Void
  ) throws(GenerationError) -> (isTruncated: Bool, secondsByStage: [GenerationStage: Double]) {
    let prompt = try model.prompt(request.prompt, style: request.style)
    guard model.manifest.sizes.contains(request.size) else {
      throw .unknownSize(request.size, known: model.manifest.sizes)
    }
    var clock = StageClock()
    try progress(GenerationProgress(stage: .text, step: 0, steps: 1, picture: 0))
    let guidance = request.guidance ?? model.manifest.sampling.guidance
    let text = try clock.time(.text) { () throws(GenerationError) in
      try execution { () throws(ExecutionError) in
        let conditional = try conditioner.encode(prompt)
        let isGuided = guidance != 1
        return (
          conditional, isGuided ? try conditioner.unconditional(length: conditional.tokens) : nil
        )
      }
    }
    try progress(GenerationProgress(stage: .text, step: 1, steps: 1, picture: 0))
    let schedule = NoiseSchedule(
      steps: request.steps ?? model.manifest.sampling.steps,
      shift: Double(model.manifest.sampling.sigmaShift))
    for (picture, seed) in request.seeds.enumerated() {
      let latents = try clock.time(.denoise) { () throws(GenerationError) in
        try denoise(
          seed: seed, schedule, conditional: text.0, unconditional: text.1, guidance: guidance
        ) { step throws(GenerationError) in
          try progress(
            GenerationProgress(
              stage: .denoise, step: step, steps: schedule.steps, picture: picture))
        }
      }
      try progress(GenerationProgress(stage: .decode, step: 0, steps: 1, picture: picture))
      let pixels = try clock.time(.decode) { () throws(GenerationError) in
        try decode(latents, size: request.size)
      }
      try progress(GenerationProgress(stage: .decode, step: 1, steps: 1, picture: picture))
      try finish(picture, pixels)
    }
    return (text.0.isTruncated, clock.seconds)
  }

  /// Latents `[token, channel]` of one picture, in the denoiser's scale.
  private func denoise(
    seed: UInt64, _ schedule: NoiseSchedule, conditional: EncodedText,
    unconditional: EncodedText?, guidance: Float,
    progress: (Int) throws(GenerationError) -> Void
  ) throws(GenerationError) -> [Float] {
    try progress(0)
    let texts = [conditional] + (unconditional.map { [$0] } ?? [])
    let session = try execution { () throws(ExecutionError) in
      try networks.session(.denoiser, batch: texts.count, tokens: conditional.tokens)
    }
    session.write(texts.flatMap(\.pooled), to: "pooled")
    session.write(texts.flatMap(\.bias), to: "bias")
    for layer in 0..<networks.family.contextLayers {
      session.write(texts.flatMap { $0.keys[layer] }, to: "keys.\(layer)")
      session.write(texts.flatMap { $0.values[layer] }, to: "values.\(layer)")
    }
    let count = model.family.latentShape.count
    let latents = HostBuffer(byteCount: 4 * count)
    let velocity = HostBuffer(byteCount: 4 * count)
    Philox(seed: seed).fillNormal(latents.floats)
    for step in 0..<schedule.steps {
      let (sigma, nextSigma) = (schedule.sigmas[step], schedule.sigmas[step + 1])
      let input = session.input("latents")
      for copy in texts.indices {
        let part = UnsafeMutableBufferPointer(rebasing: input[copy * count..<(copy + 1) * count])
        _ = part.update(fromContentsOf: latents.floats)
      }
      session.input("sigma").update(repeating: sigma)
      try execution { () throws(ExecutionError) in try session.run() }
      let prediction = session.output("prediction")
      Guidance.velocity(
        into: velocity.floats, latents: UnsafeBufferPointer(latents.floats),
        conditional: UnsafeBufferPointer(rebasing: prediction[..<count]),
        unconditional: texts.count > 1 ? UnsafeBufferPointer(rebasing: prediction[count...]) : nil,
        scale: guidance, sigma: sigma, prediction: model.family.prediction)
      EulerSampler.step(
        latents.floats, velocity: UnsafeBufferPointer(velocity.floats), sigma: sigma,
        nextSigma: nextSigma)
      try progress(step + 1)
    }
    return Array(latents.floats)
  }

  /// Pixels of latents `[token, channel]` in the denoiser's scale.
  private func decode(_ latents: [Float], size: Int) throws(GenerationError) -> PremultipliedImage {
    let session = try execution { () throws(ExecutionError) in
      try networks.session(.decoder, batch: 1)
    }
    let statistics = model.manifest.latents
    let channels = model.family.latentShape.last
    let input = session.input("latents")
    for index in input.indices {
      let channel = index % channels
      input[index] =
        latents[index] * statistics.standardDeviation[channel]
        + statistics.mean[channel]
    }
    try execution { () throws(ExecutionError) in try session.run() }
    let side = model.family.nativeSize
    var picture = PremultipliedImage(
      width: side, height: side, output: session.output("pixels"))
    if let range = model.manifest.alphaRange {
      picture = picture.stretchingAlpha(from: range[0]...range[1])
    }
    return picture.boxAveraged(by: side / size)
  }
}

/// Turns execution errors into generation errors.
private func execution<Result>(
  _ body: () throws(ExecutionError) -> Result
) throws(GenerationError) -> Result {
  do { return try body() } catch { throw .execution(error) }
}

/// Adds up the seconds of each stage.
private struct StageClock {
  private(set) var seconds: [GenerationStage: Double] = [:]

  mutating func time<Result>(
    _ stage: GenerationStage, _ body: () throws(GenerationError) -> Result
  ) throws(GenerationError) -> Result {
    let start = ContinuousClock.now
    defer { seconds[stage, default: 0] += (ContinuousClock.now - start) / .seconds(1) }
    return try body()
  }
}
