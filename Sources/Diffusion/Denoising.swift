package import Execution
import Models
import TensorTypes
import Weights

/// What the pictures of one request have in common: the encoded prompt and the encoded source.
package struct Conditioning {
  let size: OfferedSize
  let conditional: EncodedPrompt
  /// The negative prompt, which may be empty, if there is guidance.
  let unconditional: EncodedPrompt?
  let guidance: Float
  let source: EncodedSource?
  /// What the denoiser is given of what is to be kept, `[y, x, 1 + channel]`; nil if it reads
  /// nothing of it.
  let readSource: [Float]?
  /// Whether the model knows no word of the prompt.
  package let isUnknown: Bool

  /// What the model did not read of the prompts.
  package var omitted: OmittedTexts {
    OmittedTexts(prompt: conditional.omittedText, negativePrompt: unconditional?.omittedText)
  }
  /// Places that a picture takes in the denoiser's batch.
  var copies: Int { unconditional == nil ? 1 : 2 }

  /// What has to be equal for pictures to be drawn in one pass.
  package struct Shape: Hashable, Sendable {
    let tokens: Int
    let copies: Int
  }

  package var shape: Shape { Shape(tokens: conditional.tokens, copies: copies) }
}

/// Ends of prompts that were longer than the model reads: nil where nothing was left out, empty
/// where it is not known where that begins.
package struct OmittedTexts: Sendable, Equatable {
  package var prompt: String?
  package var negativePrompt: String?

  package init(prompt: String? = nil, negativePrompt: String? = nil) {
    self.prompt = prompt
    self.negativePrompt = negativePrompt
  }
}

/// The normal numbers that a picture is given at one of its steps, by its latents' indices.
struct PictureNoise {
  private let philox: Philox
  /// Latents' places and channels, if the sequence goes from channel to channel.
  private let planes: (places: Int, channels: Int)?

  /// - Parameters:
  ///   - step: 0 for what the picture begins with, `k` for the fresh noise of its step `k`.
  ///   - count: Numbers of the picture's latents.
  init(seed: UInt64, step: Int, count: Int, _ space: LatentSpace) {
    switch space.noiseOrder {
    case .latents:
      philox = Philox(seed: seed, stream: UInt32(step))
      planes = nil
    case .planes:
      philox = Philox(seed: seed, offset: UInt32(step))
      planes = (count / space.channels, space.channels)
    }
  }

  func normal(at index: Int) -> Float {
    guard let planes else { return philox.normal(at: index) }
    let (place, channel) = index.quotientAndRemainder(dividingBy: planes.channels)
    return philox.normal(at: channel * planes.places + place)
  }
}

/// One picture on its way from noise to latents. It may leave a pass between two steps and go on in
/// another one of the same settings.
package final class UnfinishedPicture {
  fileprivate let conditioning: Conditioning
  fileprivate let seed: UInt64
  /// In the denoiser's scale and order.
  package fileprivate(set) var latents: [Float]
  /// The clean latents as they seemed at the last step.
  fileprivate var denoised: [Float]
  /// Steps that are done.
  package fileprivate(set) var step = 0

  fileprivate init(
    _ conditioning: Conditioning, seed: UInt64, count: Int, _ space: LatentSpace,
    _ schedule: NoiseSchedule
  ) {
    self.conditioning = conditioning
    self.seed = seed
    let noise = PictureNoise(seed: seed, step: 0, count: count, space)
    latents = (0..<count).map(noise.normal)
    denoised = Array(repeating: 0, count: count)
    guard let source = conditioning.source else {
      if schedule.initialNoise != 1 { latents = latents.map { schedule.initialNoise * $0 } }
      return
    }
    let level = schedule.levels[0]
    for index in latents.indices {
      latents[index] = level.signal * source.latents[index] + level.noise * latents[index]
    }
  }
}

/// Pictures on their way from noise to latents, in one pass of the network a step; they need not
/// be at the same one.
///
/// Each of them becomes bit for bit what it would become alone.
package final class Denoising {
  private let model: LoadedModel
  private let networks: BoundModel
  private let network: NetworkName
  private let schedule: NoiseSchedule
  private let extents: Extents
  private let peels: PeelMix?
  /// Numbers of one picture's latents.
  private let count: Int
  package private(set) var pictures: [UnfinishedPicture] = []
  /// Who is in the network's batch, in its order; nil when that has to be set up again.
  private var bound: (session: Session, pictures: [UnfinishedPicture])?

  /// - Parameter extents: Of one picture.
  init(
    _ schedule: NoiseSchedule, _ extents: Extents, model: LoadedModel, networks: BoundModel,
    peels: PeelMix?
  ) {
    self.model = model
    self.networks = networks
    self.schedule = schedule
    self.extents = extents
    self.peels = peels
    network = model.family.network(.denoiser).name
    count = model.facts.latents.channels * extents.height * extents.width
  }

  private var isGuidanceEmbedded: Bool { model.facts.sampling.guidanceForm == .embedded }

  /// Steps of each picture.
  package var steps: Int { schedule.steps }
  /// Whether no picture has a step left.
  package var isDone: Bool { pictures.allSatisfy(isDone) }

  package func isDone(_ picture: UnfinishedPicture) -> Bool { picture.step == schedule.steps }

  /// Begins a picture.
  /// - Throws: `GenerationError.unequalShapes` unless its conditioning is of the others' shape.
  @discardableResult
  package func begin(
    _ conditioning: Conditioning, seed: UInt64
  ) throws(GenerationError) -> UnfinishedPicture {
    let picture = UnfinishedPicture(
      conditioning, seed: seed, count: count, model.facts.latents, schedule)
    try add(picture)
    return picture
  }

  /// Takes in a picture that was begun in another pass of these settings.
  /// - Throws: `GenerationError.unequalShapes` likewise.
  package func add(_ picture: UnfinishedPicture) throws(GenerationError) {
    if let first = pictures.first, first.conditioning.shape != picture.conditioning.shape {
      throw .unequalShapes
    }
    pictures.append(picture)
    bound = nil
  }

  /// Takes a picture out; the others go on as if it had never been there.
  package func remove(_ picture: UnfinishedPicture) {
    pictures.removeAll { $0 === picture }
    bound = nil
  }

  /// What the latents would be if the last step had gone all the way.
  package func cleanEstimate(of picture: UnfinishedPicture) -> [Float] { picture.denoised }

  /// Takes all pictures one step on, but those that are done.
  /// - Precondition: One of them is not.
  package func advance() throws(ExecutionError) {
    let (session, pictures) = try bind()
    let copies = pictures[0].conditioning.copies
    for place in 0..<copies * pictures.count {
      let picture = pictures[place % pictures.count]
      session.write(picture.latents, to: "latents", at: place * count)
      session.write(
        CollectionOfOne(schedule.levels[picture.step].time), to: "time", at: place)
      if isGuidanceEmbedded {
        session.write(
          CollectionOfOne(picture.conditioning.guidance - 1), to: "guidance", at: place)
      }
    }
    try session.run()
    session.withOutput("prediction") { prediction in
      prediction.withUnsafeBufferPointer { prediction in
        func part(_ place: Int) -> Slice<UnsafeBufferPointer<Float>> {
          prediction[place * count..<(place + 1) * count]
        }
        for (place, picture) in pictures.enumerated() {
          advance(
            picture, conditional: part(place),
            unconditional: copies == 2 ? part(pictures.count + place) : nil)
        }
      }
    }
    for picture in pictures {
      picture.step += 1
      if isDone(picture) { bound = nil }
    }
  }

  private func advance(
    _ picture: UnfinishedPicture, conditional: Slice<UnsafeBufferPointer<Float>>,
    unconditional: Slice<UnsafeBufferPointer<Float>>?
  ) {
    let level = schedule.levels[picture.step]
    let denoised = denoised(
      picture, conditional: conditional, unconditional: unconditional, at: level)
    let fresh = PictureNoise(
      seed: picture.seed, step: picture.step + 1, count: count, model.facts.latents)
    schedule.take(
      picture.step, &picture.latents, denoised: denoised, previous: picture.denoised,
      fresh: fresh.normal)
    picture.denoised = denoised
  }

  /// The clean latents as they seem at `level`: guided away from those of the negative prompt (Ho
  /// and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6), and the source's where that
  /// is to stay.
  private func denoised(
    _ picture: UnfinishedPicture, conditional: Slice<UnsafeBufferPointer<Float>>,
    unconditional: Slice<UnsafeBufferPointer<Float>>?, at level: NoiseLevel
  ) -> [Float] {
    let (prediction, scale) = (model.facts.prediction, picture.conditioning.guidance)
    let channels = model.facts.latents.channels
    return picture.latents.indices.map { index in
      if let source = picture.conditioning.source, source.isKept(index / channels) {
        return source.latents[index]
      }
      let x = picture.latents[index]
      let clean = prediction.denoised(
        conditional[conditional.startIndex + index], x: x, at: level)
      guard let unconditional else { return clean }
      let negative = prediction.denoised(
        unconditional[unconditional.startIndex + index], x: x, at: level)
      return negative + scale * (clean - negative)
    }
  }

  /// The network's session with the texts of the pictures that are left: first everyone's prompt,
  /// then, with guidance, everyone's negative prompt.
  private func bind() throws(ExecutionError) -> (session: Session, pictures: [UnfinishedPicture]) {
    if let bound { return bound }
    let pictures = self.pictures.filter { !isDone($0) }
    let conditionings = pictures.map(\.conditioning)
    let texts = conditionings.map(\.conditional) + conditionings.compactMap(\.unconditional)
    precondition(!texts.isEmpty, "all pictures are done or were taken out")
    var extents = extents
    (extents.batch, extents.tokens) = (texts.count, texts[0].tokens)
    let session = try networks.session(network, extents, peels: peels)
    for name in model.conditioningInputs {
      session.write(texts.flatMap { $0.tensors[name]! }, to: name)
    }
    if model.facts.readsSource {
      let sources = conditionings.map { $0.readSource! }
      let copies = texts.count / sources.count
      session.write((0..<copies).flatMap { _ in sources.joined() }, to: "source")
    }
    bound = (session, pictures)
    return (session, pictures)
  }
}
