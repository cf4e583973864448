package import Models

/// A level of noise, at which latents are `signal x0 + noise eps`.
package struct NoiseLevel: Hashable, Sendable {
  package let signal: Float
  package let noise: Float
  /// What the network is told of it.
  package let time: Float

  package init(signal: Float, noise: Float, time: Float) {
    self.signal = signal
    self.noise = noise
    self.time = time
  }

  /// The picture itself.
  package static let clean = NoiseLevel(signal: 1, noise: 0, time: 0)
}

/// The noise levels that a sampler walks through, down to the picture, and how it steps.
package struct NoiseSchedule: Hashable, Sendable {
  /// Which form of `SamplerStep` steps are taken in.
  package enum Order: Hashable, Sendable {
    /// With so much fresh noise, `[step]`.
    case first(etas: [Float])
    case second
  }

  /// `steps + 1` levels, each with less noise than the one before, down to none or hardly any: from
  /// noise alone, or from less for a picture that is changed.
  package let levels: [NoiseLevel]
  package let order: Order
  /// What the normal numbers are multiplied by that a picture begins with.
  package let initialNoise: Float

  /// - Parameters:
  ///   - spacing: Of a variance preserving process's levels; nil is its own.
  ///   - requested: Denoising steps, at least 1.
  ///   - strength: How much of the way is walked, one of `PictureRequest.strengths`: 1 begins with
  ///     noise alone; for less, the steps become fewer too: of a flow rounded up, for its way
  ///     begins at the strength itself, of steps of training rounded down, as by diffusers. Meng
  ///     et al. 2021, "SDEdit: Guided Image Synthesis and Editing with Stochastic Differential
  ///     Equations".
  /// - Throws: `GenerationError.noSchedule` for other numbers, and for those whose levels do not
  ///   fall in f32; `unknownSampler` and `unknownSpacing` for those that the process does not have.
  package init(
    _ process: NoiseProcess, _ sampler: Sampler = .euler, _ spacing: TimestepSpacing? = nil,
    steps requested: Int, strength: Float = 1
  ) throws(GenerationError) {
    guard process.samplers.contains(sampler) else {
      throw .unknownSampler(sampler, known: process.samplers)
    }
    if let spacing, !process.spacings.contains(spacing) {
      throw .unknownSpacing(spacing, known: process.spacings)
    }
    let failure = GenerationError.noSchedule(steps: requested, strength: strength)
    guard 1...1000 ~= requested, PictureRequest.strengths.contains(strength) else { throw failure }
    switch process {
    case .flow(let shift):
      // 0.3 of 10 steps are 3, though 0.3 in f32 is a little more.
      let steps = max(1, Int((Double(requested) * Double(strength) - 1e-4).rounded(.up)))
      levels = Self.flow(steps: steps, shift: Double(shift), strength: Double(strength))
      order = Self.order(sampler, levels) { _ in .clean }
      initialNoise = 1
    case .variancePreserving(let betas, let timesteps):
      let spacing = spacing ?? timesteps.spacing
      let training = TrainingSteps(betas, timesteps, sampler, spacing)
      levels = training.levels(of: requested, strength: Double(strength))
      order = Self.order(sampler, levels) { training.level(at: (0.7 * Double($0)).rounded(.down)) }
      // Euler's step is written for latents over their signal, which begin with the noise of their
      // level; the leading steps are shorter than the way, and begin as if it were all of it.
      let beginsAtLevel = [.euler, .eulerAncestral].contains(sampler) && spacing != .leading
      initialNoise = beginsAtLevel ? levels[0].noise : 1
    }
    let falls = zip(levels, levels.dropFirst()).allSatisfy {
      $0.noise >= $1.noise && $0.signal <= $1.signal
        && ($0.noise, $0.signal) != ($1.noise, $1.signal)
    }
    guard falls, levels[0].noise > 0 else { throw failure }
  }

  package var steps: Int { levels.count - 1 }

  /// - Parameter way: For a step to a time, the level that trajectory consistency goes by: at a
  ///   share of the time that its authors and diffusers take where nothing is said.
  private static func order(
    _ sampler: Sampler, _ levels: [NoiseLevel], way: (Float) -> NoiseLevel
  ) -> Order {
    let steps = zip(levels, levels.dropFirst()).map(SamplerStep.init)
    func etas(_ eta: (SamplerStep) -> Float) -> Order {
      // To no noise at all, there is none that could be fresh.
      .first(etas: steps.map { $0.next.noise > 0 ? eta($0) : 0 })
    }
    return switch sampler {
    case .euler, .ddim: etas { _ in 0 }
    case .eulerAncestral: etas(\.ancestralEta)
    case .consistency: etas { _ in 1 }
    case .trajectoryConsistency: etas { $0.trajectoryEta(by: way($0.next.time)) }
    case .dpmSolver: .second
    }
  }

  private static func flow(steps: Int, shift: Double, strength: Double) -> [NoiseLevel] {
    (0...steps).map { step in
      let u = strength * (1 - Double(step) / Double(steps))
      let noise = Float(shift * u / (1 + (shift - 1) * u))
      return NoiseLevel(signal: 1 - noise, noise: noise, time: noise)
    }
  }
}
