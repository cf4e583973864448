/// What a denoiser's output stands for, at a level where `x = signal x0 + noise eps`.
package enum Prediction: String, Decodable, Hashable, Sendable {
  /// The clean latents `x0`. Li and He 2025, "Back to Basics: Let Denoising Generative Models
  /// Denoise".
  case sample
  /// A flow's velocity `eps - x0`. Liu et al. 2022, "Flow Straight and Fast".
  case velocity
  /// The noise `eps`. Ho et al. 2020, "Denoising Diffusion Probabilistic Models".
  case noise
  /// `signal eps - noise x0`. Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of
  /// Diffusion Models", section 4.
  case rotation
}

/// How noise is added to a picture over time.
package enum NoiseProcess: Hashable, Sendable {
  /// `x(t) = (1 - t) x0 + t eps`, even steps pushed towards high noise by `shift`: Esser et al.
  /// 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", eq. 23.
  case flow(shift: Float)
  /// `x(t) = sqrt(abar) x0 + sqrt(1 - abar) eps`, `abar` the product of `1 - beta` up to step `t`.
  case variancePreserving(Betas, Timesteps)

  /// The samplers that it can be walked with.
  package var samplers: [Sampler] {
    switch self {
    case .flow: Sampler.allCases.filter { $0 != .trajectoryConsistency }
    case .variancePreserving: Sampler.allCases
    }
  }

  /// The spacings that it can be walked with; none where levels are not steps of training.
  package var spacings: [TimestepSpacing] {
    switch self {
    case .flow: []
    case .variancePreserving: TimestepSpacing.allCases
    }
  }

  /// Where a request says nothing.
  package var spacing: TimestepSpacing? {
    switch self {
    case .flow: nil
    case .variancePreserving(_, let timesteps): timesteps.spacing
    }
  }

  fileprivate static let shifts: ClosedRange<Float> = 0.01...100

  func validate(_ prediction: Prediction) throws(ConfigurationError) {
    switch self {
    case .flow(let shift):
      // Beyond, the noise levels of many steps would be equal in f32.
      try ConfigurationError.check(
        Self.shifts.contains(shift), "sampling", "sigmaShift \(shift) is not in \(Self.shifts)")
      // A flow begins with noise alone, of which these could not say what it hides.
      try ConfigurationError.check(
        prediction == .sample || prediction == .velocity, "sampling",
        "a flow's network cannot predict the \(prediction.rawValue)")
    case .variancePreserving(let betas, let timesteps):
      try betas.validate()
      try timesteps.validate(of: betas)
      try ConfigurationError.check(
        !betas.endInNoise || prediction != .noise, "sampling",
        "noise that hides the whole picture cannot be predicted: nothing follows from it")
      try ConfigurationError.check(
        prediction != .velocity, "sampling", "only a flow's network predicts a velocity")
    }
  }
}

/// How much noise each step of training added.
package struct Betas: Hashable, Sendable {
  /// Steps of training.
  package var count: Int
  /// The first and the last one, between which their square roots rise evenly.
  package var first: Double
  package var last: Double
  /// Whether they are stretched until the last step leaves nothing of the picture: zero terminal
  /// signal-to-noise ratio, diffusers' `rescale_betas_zero_snr`.
  package var endInNoise: Bool

  package init(
    count: Int = 1000, first: Double = 0.00085, last: Double = 0.012, endInNoise: Bool = false
  ) {
    self.count = count
    self.first = first
    self.last = last
    self.endInNoise = endInNoise
  }

  /// What is left of the picture's variance after each step, `[step]`. Ho et al. 2020, eq. 4; where
  /// they end in noise, Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps Are
  /// Flawed", algorithm 1.
  package var cumulativeSignals: [Double] {
    let (from, to) = (first.squareRoot(), last.squareRoot())
    var product = 1.0
    let signals = (0..<count).map { step in
      let root = from + (to - from) * Double(step) / Double(max(count - 1, 1))
      product *= 1 - root * root
      return product
    }
    guard endInNoise else { return signals }
    let (highest, lowest) = (signals[0].squareRoot(), signals[count - 1].squareRoot())
    return signals.map { signal in
      let root = (signal.squareRoot() - lowest) * highest / (highest - lowest)
      return root * root
    }
  }

  /// What counts as nothing of the picture's variance.
  package static let leastSignal = 0x1p-24

  func validate() throws(ConfigurationError) {
    try ConfigurationError.check(
      2...100_000 ~= count && 0 < first && first <= last && last < 1, "sampling",
      "betas from \(first) to \(last) in \(count) steps are no noise process")
    // Noise over signal, by which samplers go, must rise from each step to the next in f32. The
    // last but one is what is left where the last is nothing.
    let signals = cumulativeSignals
    let left = endInNoise ? signals[count - 2] : signals[count - 1]
    try ConfigurationError.check(
      left > Self.leastSignal && zip(signals, signals.dropFirst()).allSatisfy { $0 > $1 },
      "sampling",
      "betas from \(first) to \(last) in \(count) steps leave nothing of a picture before the "
        + "last step, or take nothing from it in one")
  }
}

/// Which of the steps of training a sampler takes.
package enum TimestepSpacing: String, CaseIterable, Decodable, Hashable, Sendable {
  /// Evenly down from the last one. Lin et al. 2023, table 2, as the next one.
  case trailing
  /// Evenly up from the first one, or a little above it.
  case leading
  /// Evenly in the seventh root of noise over signal, between the steps of training as well. Karras
  /// et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", eq. 5.
  case karras
  /// Some of those that a consistency model was distilled from. Luo et al. 2023, "Latent
  /// Consistency Models", section 4.3.
  case lcm
}

/// How steps of training are taken.
package struct Timesteps: Hashable, Sendable {
  /// Where a request says nothing.
  package var spacing: TimestepSpacing
  /// What `leading` begins with; diffusers' `steps_offset`.
  package var offset: Int
  /// Steps of the sampler that consistency models are distilled from, of which `lcm` takes some;
  /// diffusers' `original_inference_steps`.
  package var distilled: Int
  /// Whether DDIM goes to the picture itself at last, and not to the first step of training;
  /// diffusers' `set_alpha_to_one`.
  package var ddimEndsClean: Bool

  package init(
    _ spacing: TimestepSpacing, offset: Int = 1, distilled: Int = 50, ddimEndsClean: Bool = true
  ) {
    self.spacing = spacing
    self.offset = offset
    self.distilled = distilled
    self.ddimEndsClean = ddimEndsClean
  }

  func validate(of betas: Betas) throws(ConfigurationError) {
    try ConfigurationError.check(
      0..<betas.count ~= offset && 1...betas.count ~= distilled, "sampling",
      "an offset of \(offset) and \(distilled) distilled steps do not fit \(betas.count) steps")
  }
}

/// How a model is guided towards its prompt.
package enum GuidanceForm: Hashable, Sendable {
  /// By what it makes of a negative prompt. Ho and Salimans 2022, "Classifier-Free Diffusion
  /// Guidance".
  case classifierFree
  /// It is in the weights, and no other can be asked for.
  case folded
  /// The denoiser reads its scale. Meng et al. 2022, "On Distillation of Guided Diffusion Models".
  case embedded
}

/// How a model is sampled where a request says nothing.
package struct SamplingRecipe: Hashable, Sendable {
  package var sampler: Sampler
  package var steps: Int
  /// 1 is none.
  package var guidance: Float
  package var guidanceForm: GuidanceForm

  package init(
    sampler: Sampler, steps: Int, guidance: Float, guidanceForm: GuidanceForm = .classifierFree
  ) {
    self.sampler = sampler
    self.steps = steps
    self.guidance = guidance
    self.guidanceForm = guidanceForm
  }

  /// Whether a picture is drawn away from a negative prompt as well.
  /// - Parameter guidance: What is asked for; nil is the model's.
  package func hasNegativePrompt(guidance: Float?) -> Bool {
    guidanceForm != .embedded && (guidance ?? self.guidance) != 1
  }

  func validate(_ noise: NoiseProcess) throws(ConfigurationError) {
    try ConfigurationError.check(
      noise.samplers.contains(sampler), "sampling",
      "a flow cannot be walked with the sampler \(sampler.rawValue)")
    try ConfigurationError.check(
      1...1000 ~= steps, "sampling", "steps \(steps) is not in 1...1000")
    try ConfigurationError.check(
      0...100 ~= guidance, "sampling", "guidance \(guidance) is not in 0...100")
    try ConfigurationError.check(
      guidanceForm != .folded || guidance == 1, "sampling",
      "guidance is not 1, as a distilled model needs it")
  }
}

/// How a step is taken from one noise level to the next.
package enum Sampler: String, Decodable, CaseIterable, Hashable, Sendable {
  /// Euler's method along the line through the noise that is left, in noise over signal.
  case euler
  /// Between the two: with as much fresh noise as the model of adding noise has between the levels.
  /// Song et al. 2020, eq. 16 with `eta` 1; Karras's programs call it ancestral.
  case eulerAncestral = "euler_a"
  /// The same step as Euler's, which begins with noise of variance 1 and may end a little above the
  /// picture. Song et al. 2020, "Denoising Diffusion Implicit Models", eq. 12.
  case ddim
  /// For distilled models: to the clean latents at once, and back with fresh noise. Luo et al.
  /// 2023, "Latent Consistency Models", algorithm 3.
  case consistency
  /// The same, but to a step in between, with the noise that is there, and then up to the next with
  /// fresh one. Zheng et al. 2024, "Trajectory Consistency Distillation", algorithm 2.
  case trajectoryConsistency = "tcd"
  /// The second-order multistep solver. Lu et al. 2022, "DPM-Solver++", algorithm 2.
  case dpmSolver = "dpm++2m"

  /// Whether only models draw well with it that were distilled for it.
  package var isForDistilled: Bool { self == .consistency || self == .trajectoryConsistency }
}
