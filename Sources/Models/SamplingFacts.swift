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
  case variancePreserving(Betas, TimestepSpacing)

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
    case .variancePreserving(let betas, _):
      try betas.validate()
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

  package init(count: Int = 1000, first: Double = 0.00085, last: Double = 0.012) {
    self.count = count
    self.first = first
    self.last = last
  }

  /// What is left of the picture's variance after each step, `[step]`. Ho et al. 2020, eq. 4.
  package var cumulativeSignals: [Double] {
    let (from, to) = (first.squareRoot(), last.squareRoot())
    var product = 1.0
    return (0..<count).map { step in
      let root = from + (to - from) * Double(step) / Double(max(count - 1, 1))
      product *= 1 - root * root
      return product
    }
  }

  func validate() throws(ConfigurationError) {
    try ConfigurationError.check(
      1...100_000 ~= count && 0 < first && first <= last && last < 1, "sampling",
      "betas from \(first) to \(last) in \(count) steps are no noise process")
  }
}

/// Which of the steps of training a sampler takes. Lin et al. 2023, "Common Diffusion Noise
/// Schedules and Sample Steps Are Flawed", table 2.
package enum TimestepSpacing: Hashable, Sendable {
  /// Evenly down from the last one.
  case trailing
  /// Evenly up from `offset`.
  case leading(offset: Int)
}

/// How a model is sampled where a request says nothing.
package struct SamplingRecipe: Hashable, Sendable {
  package var sampler: Sampler
  package var steps: Int
  /// 1 is none.
  package var guidance: Float
  /// Whether guidance is folded into the weights, so that no other can be asked for.
  package var isGuidanceFixed: Bool

  package init(sampler: Sampler, steps: Int, guidance: Float, isGuidanceFixed: Bool = false) {
    self.sampler = sampler
    self.steps = steps
    self.guidance = guidance
    self.isGuidanceFixed = isGuidanceFixed
  }

  func validate() throws(ConfigurationError) {
    try ConfigurationError.check(
      1...1000 ~= steps, "sampling", "steps \(steps) is not in 1...1000")
    try ConfigurationError.check(
      0...100 ~= guidance, "sampling", "guidance \(guidance) is not in 0...100")
    try ConfigurationError.check(
      !isGuidanceFixed || guidance == 1, "sampling",
      "guidance is not 1, as a distilled model needs it")
  }
}

/// How a step is taken from one noise level to the next.
package enum Sampler: String, Decodable, Hashable, Sendable {
  /// Along the line through the noise that is left: on a flow Euler's method, on a variance
  /// preserving process DDIM (Song et al. 2020, "Denoising Diffusion Implicit Models").
  case euler
  /// Between the two: with as much fresh noise as the model of adding noise has between the levels.
  /// Song et al. 2020, eq. 16 with `eta` 1; Karras's programs call it ancestral.
  case eulerAncestral = "euler_a"
  /// For distilled models: to the clean latents at once, and back with fresh noise. Luo et al.
  /// 2023, "Latent Consistency Models", algorithm 3.
  case consistency
  /// The second-order multistep solver. Lu et al. 2022, "DPM-Solver++", algorithm 2.
  case dpmSolver = "dpm++2m"
}
