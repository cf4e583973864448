package import Execution
import Models
import TensorTypes
import Weights

/// What the pictures of one drawing have in common: the encoded prompt and the encoded source.
package struct Subject {
  let conditional: EncodedText
  /// The empty prompt, if there is guidance.
  let unconditional: EncodedText?
  let guidance: Float
  let source: EncodedSource?
  /// Whether the model knows no word of the prompt.
  package let isUnknown: Bool

  /// Whether the model saw only the beginning of the prompt.
  package var isTruncated: Bool { conditional.isTruncated }
  /// Places that a picture takes in the denoiser's batch.
  var copies: Int { unconditional == nil ? 1 : 2 }

  /// What has to be equal for pictures to be drawn in one pass.
  package struct Shape: Hashable, Sendable {
    let tokens: Int
    let copies: Int
  }

  package var shape: Shape { Shape(tokens: conditional.tokens, copies: copies) }
}

/// One picture on its way from noise to latents. It may leave a pass between two steps and go on in
/// another one of the same settings.
package final class UnfinishedPicture {
  fileprivate let subject: Subject
  fileprivate let seed: UInt64
  /// `[token, channel]`, in the denoiser's scale.
  fileprivate let buffer: HostBuffer
  /// Same shape; the last step's velocity, or with the consistency sampler its clean latents.
  fileprivate let estimate: HostBuffer
  /// What the picture began with; only kept where parts of a source are put back.
  fileprivate let noise: HostBuffer?
  /// Steps that are done.
  package fileprivate(set) var step = 0

  fileprivate init(_ subject: Subject, seed: UInt64, count: Int, sigma: Float) {
    self.subject = subject
    self.seed = seed
    buffer = HostBuffer(byteCount: 4 * count)
    estimate = HostBuffer(byteCount: 4 * count)
    Philox(seed: seed).fillNormal(buffer.floats)
    guard let source = subject.source else {
      noise = nil
      return
    }
    let noise = HostBuffer(byteCount: 4 * count)
    noise.bytes.copyMemory(from: UnsafeRawBufferPointer(buffer.bytes))
    self.noise = noise
    for index in buffer.floats.indices {
      buffer.floats[index] = (1 - sigma) * source.latents[index] + sigma * noise.floats[index]
    }
  }

  /// `[token, channel]`, in the denoiser's scale.
  package var latents: [Float] { Array(buffer.floats) }
}

/// Pictures on their way from noise to latents, in one pass of the network a step; they need not
/// be at the same one.
///
/// Each of them becomes bit for bit what it would become alone.
package final class Denoising {
  private let networks: BoundModel
  private let sampler: ModelManifest.Sampling.Sampler
  private let schedule: NoiseSchedule
  private let peels: PeelMix?
  /// Numbers of one picture's latents, and of one token's.
  private let count: Int
  private let channels: Int
  package private(set) var pictures: [UnfinishedPicture] = []
  /// Who is in the network's batch, in its order; nil when that has to be set up again.
  private var bound: (session: Session, pictures: [UnfinishedPicture])?

  init(
    _ schedule: NoiseSchedule, sampler: ModelManifest.Sampling.Sampler, networks: BoundModel,
    peels: PeelMix?
  ) {
    self.networks = networks
    self.schedule = schedule
    self.sampler = sampler
    self.peels = peels
    count = networks.family.latentShape.count
    channels = networks.family.latentShape.last
  }

  /// Steps of each picture.
  package var steps: Int { schedule.steps }
  /// Whether no picture has a step left.
  package var isDone: Bool { pictures.allSatisfy(isDone) }

  package func isDone(_ picture: UnfinishedPicture) -> Bool { picture.step == schedule.steps }

  /// Begins a picture.
  /// - Throws: `GenerationError.unequalShapes` unless its subject is of the others' shape.
  @discardableResult
  package func begin(
    _ subject: Subject, seed: UInt64
  ) throws(GenerationError) -> UnfinishedPicture {
    let picture = UnfinishedPicture(
      subject, seed: seed, count: count, sigma: schedule.sigmas[0])
    try add(picture)
    return picture
  }

  /// Takes in a picture that was begun in another pass of these settings.
  /// - Throws: `GenerationError.unequalShapes` likewise.
  package func add(_ picture: UnfinishedPicture) throws(GenerationError) {
    if let first = pictures.first, first.subject.shape != picture.subject.shape {
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
  package func cleanEstimate(of picture: UnfinishedPicture) -> [Float] {
    if sampler == .consistency { return Array(picture.estimate.floats) }
    let sigma = schedule.sigmas[picture.step]
    var clean = zip(picture.buffer.floats, picture.estimate.floats).map { $0 - sigma * $1 }
    if let source = picture.subject.source {
      for index in clean.indices where source.isKept(index / channels) {
        clean[index] = source.latents[index]
      }
    }
    return clean
  }

  /// Takes all pictures one step on, but those that are done.
  /// - Precondition: One of them is not.
  package func advance() throws(ExecutionError) {
    let (session, pictures) = try bind()
    let copies = pictures[0].subject.copies
    for place in 0..<copies * pictures.count {
      let picture = pictures[place % pictures.count]
      session.write(picture.buffer.floats, to: "latents", at: place * count)
      session.write(
        CollectionOfOne(schedule.sigmas[picture.step]), to: "sigma", at: place)
    }
    try session.run()
    session.withOutput("prediction") { prediction in
      prediction.withUnsafeBufferPointer { prediction in
        func part(_ place: Int) -> UnsafeBufferPointer<Float> {
          UnsafeBufferPointer(rebasing: prediction[place * count..<(place + 1) * count])
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
    _ picture: UnfinishedPicture, conditional: UnsafeBufferPointer<Float>,
    unconditional: UnsafeBufferPointer<Float>?
  ) {
    let (sigma, nextSigma) = (
      schedule.sigmas[picture.step], schedule.sigmas[picture.step + 1]
    )
    let latents = picture.buffer.floats
    let estimate = picture.estimate.floats
    switch sampler {
    case .euler:
      Guidance.velocity(
        into: estimate, latents: UnsafeBufferPointer(latents), conditional: conditional,
        unconditional: unconditional, scale: picture.subject.guidance, sigma: sigma,
        prediction: networks.family.prediction)
      EulerSampler.step(
        latents, velocity: UnsafeBufferPointer(estimate), sigma: sigma, nextSigma: nextSigma)
      guard let source = picture.subject.source, let noise = picture.noise else { return }
      for index in latents.indices where source.isKept(index / channels) {
        latents[index] =
          (1 - nextSigma) * source.latents[index] + nextSigma * noise.floats[index]
      }
    case .consistency:
      ConsistencySampler.clean(
        into: estimate, latents: UnsafeBufferPointer(latents), prediction: conditional,
        sigma: sigma, kind: networks.family.prediction)
      if let source = picture.subject.source {
        for index in estimate.indices where source.isKept(index / channels) {
          estimate[index] = source.latents[index]
        }
      }
      ConsistencySampler.noised(
        into: latents, clean: UnsafeBufferPointer(estimate),
        noise: Philox(seed: picture.seed, stream: UInt32(picture.step + 1)), sigma: nextSigma)
    }
  }

  /// The network's session with the texts of the pictures that are left: first everyone's prompt,
  /// then, with guidance, everyone's empty prompt.
  private func bind() throws(ExecutionError) -> (session: Session, pictures: [UnfinishedPicture]) {
    if let bound { return bound }
    let pictures = self.pictures.filter { !isDone($0) }
    let subjects = pictures.map(\.subject)
    let texts = subjects.map(\.conditional) + subjects.compactMap(\.unconditional)
    precondition(!texts.isEmpty, "all pictures are done or were taken out")
    let session = try networks.session(
      .denoiser, batch: texts.count, tokens: texts[0].tokens, peels: peels)
    session.write(texts.flatMap(\.pooled), to: "pooled")
    session.write(texts.flatMap(\.bias), to: "bias")
    for layer in 0..<networks.family.contextLayers {
      session.write(texts.flatMap { $0.keys[layer] }, to: "keys.\(layer)")
      session.write(texts.flatMap { $0.values[layer] }, to: "values.\(layer)")
    }
    bound = (session, pictures)
    return (session, pictures)
  }
}
