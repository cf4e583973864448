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

/// Pictures on their way from noise to latents, in one pass of the network a step.
///
/// Each of them becomes bit for bit what it would become alone.
package final class Denoising {
  /// One picture.
  private final class Member {
    let subject: Subject
    let seed: UInt64
    /// `[token, channel]`, in the denoiser's scale.
    let latents: HostBuffer
    /// Same shape; the last step's velocity, or with the consistency sampler its clean latents.
    let estimate: HostBuffer
    /// What the picture began with; only kept where parts of a source are put back.
    let noise: HostBuffer?

    init(_ subject: Subject, seed: UInt64, count: Int, sigma: Float) {
      self.subject = subject
      self.seed = seed
      latents = HostBuffer(byteCount: 4 * count)
      estimate = HostBuffer(byteCount: 4 * count)
      Philox(seed: seed).fillNormal(latents.floats)
      guard let source = subject.source else {
        noise = nil
        return
      }
      let noise = HostBuffer(byteCount: 4 * count)
      noise.bytes.copyMemory(from: UnsafeRawBufferPointer(latents.bytes))
      self.noise = noise
      for index in latents.floats.indices {
        latents.floats[index] = (1 - sigma) * source.latents[index] + sigma * noise.floats[index]
      }
    }
  }

  private let networks: BoundModel
  private let sampler: ModelManifest.Sampling.Sampler
  private let schedule: NoiseSchedule
  private let peels: PeelMix?
  /// Numbers of one picture's latents, and of one token's.
  private let count: Int
  private let channels: Int
  private var members: [Member?]
  /// Who is in the network's batch, in its order; nil when that has to be set up again.
  private var bound: (session: Session, members: [Member])?
  /// Steps that are done.
  package private(set) var step = 0

  /// - Throws: `GenerationError.unequalShapes`.
  init(
    _ pictures: [(subject: Subject, seed: UInt64)], _ schedule: NoiseSchedule,
    sampler: ModelManifest.Sampling.Sampler, networks: BoundModel, peels: PeelMix?
  ) throws(GenerationError) {
    guard Set(pictures.map { $0.subject.shape }).count == 1 else { throw .unequalShapes }
    self.networks = networks
    self.schedule = schedule
    self.sampler = sampler
    self.peels = peels
    let (count, sigma) = (networks.family.latentShape.count, schedule.sigmas[0])
    self.count = count
    channels = networks.family.latentShape.last
    members = pictures.map { Member($0.subject, seed: $0.seed, count: count, sigma: sigma) }
  }

  package var steps: Int { schedule.steps }
  package var isDone: Bool { step == schedule.steps }

  /// Takes a picture out; the others go on as if it had never been there.
  package func remove(_ picture: Int) {
    members[picture] = nil
    bound = nil
  }

  /// The latents of a picture that was not taken out, `[token, channel]` in the denoiser's scale.
  package func latents(of picture: Int) -> [Float] {
    members[picture].map { Array($0.latents.floats) } ?? []
  }

  /// What the latents would be if the last step had gone all the way.
  package func cleanEstimate(of picture: Int) -> [Float] {
    guard let member = members[picture] else { return [] }
    if sampler == .consistency { return Array(member.estimate.floats) }
    let sigma = schedule.sigmas[step]
    var clean = zip(member.latents.floats, member.estimate.floats).map { $0 - sigma * $1 }
    if let source = member.subject.source {
      for index in clean.indices where source.isKept(index / channels) {
        clean[index] = source.latents[index]
      }
    }
    return clean
  }

  /// Takes all pictures one step on.
  package func advance() throws(ExecutionError) {
    let (session, members) = try bind()
    let sigma = schedule.sigmas[step]
    let input = session.input("latents")
    for place in 0..<input.count / count {
      let part = UnsafeMutableBufferPointer(rebasing: input[place * count..<(place + 1) * count])
      _ = part.update(fromContentsOf: members[place % members.count].latents.floats)
    }
    session.input("sigma").update(repeating: sigma)
    try session.run()
    let prediction = session.output("prediction")
    func part(_ place: Int) -> UnsafeBufferPointer<Float> {
      UnsafeBufferPointer(rebasing: prediction[place * count..<(place + 1) * count])
    }
    for (place, member) in members.enumerated() {
      advance(
        member, conditional: part(place),
        unconditional: member.subject.copies == 2 ? part(members.count + place) : nil)
    }
    step += 1
  }

  private func advance(
    _ member: Member, conditional: UnsafeBufferPointer<Float>,
    unconditional: UnsafeBufferPointer<Float>?
  ) {
    let (sigma, nextSigma) = (schedule.sigmas[step], schedule.sigmas[step + 1])
    let latents = member.latents.floats
    let estimate = member.estimate.floats
    switch sampler {
    case .euler:
      Guidance.velocity(
        into: estimate, latents: UnsafeBufferPointer(latents), conditional: conditional,
        unconditional: unconditional, scale: member.subject.guidance, sigma: sigma,
        prediction: networks.family.prediction)
      EulerSampler.step(
        latents, velocity: UnsafeBufferPointer(estimate), sigma: sigma, nextSigma: nextSigma)
      guard let source = member.subject.source, let noise = member.noise else { return }
      for index in latents.indices where source.isKept(index / channels) {
        latents[index] =
          (1 - nextSigma) * source.latents[index] + nextSigma * noise.floats[index]
      }
    case .consistency:
      ConsistencySampler.clean(
        into: estimate, latents: UnsafeBufferPointer(latents), prediction: conditional,
        sigma: sigma, kind: networks.family.prediction)
      if let source = member.subject.source {
        for index in estimate.indices where source.isKept(index / channels) {
          estimate[index] = source.latents[index]
        }
      }
      ConsistencySampler.noised(
        into: latents, clean: UnsafeBufferPointer(estimate),
        noise: Philox(seed: member.seed, stream: UInt32(step + 1)), sigma: nextSigma)
    }
  }

  /// The network's session with the texts of the pictures that are left: first everyone's prompt,
  /// then, with guidance, everyone's empty prompt.
  private func bind() throws(ExecutionError) -> (session: Session, members: [Member]) {
    if let bound { return bound }
    let members = self.members.compactMap { $0 }
    let subjects = members.map(\.subject)
    let texts = subjects.map(\.conditional) + subjects.compactMap(\.unconditional)
    precondition(!texts.isEmpty, "all pictures were taken out")
    let session = try networks.session(
      .denoiser, batch: texts.count, tokens: texts[0].tokens, peels: peels)
    session.write(texts.flatMap(\.pooled), to: "pooled")
    session.write(texts.flatMap(\.bias), to: "bias")
    for layer in 0..<networks.family.contextLayers {
      session.write(texts.flatMap { $0.keys[layer] }, to: "keys.\(layer)")
      session.write(texts.flatMap { $0.values[layer] }, to: "values.\(layer)")
    }
    bound = (session, members)
    return (session, members)
  }
}
