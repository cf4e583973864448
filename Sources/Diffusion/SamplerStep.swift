package import Models

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Prediction {
  /// The clean latents that a network's output stands for.
  /// - Parameters:
  ///   - output: One number of the output.
  ///   - x: The network's input at the same place, at `level`.
  @inline(__always)
  package func denoised(_ output: Float, x: Float, at level: NoiseLevel) -> Float {
    switch self {
    case .sample: output
    case .velocity: x - level.noise * output
    case .noise: (x - level.noise * output) / level.signal
    case .rotation: level.signal * x - level.noise * output
    }
  }
}

/// One step from a noise level to a lower one.
///
/// Both forms know only levels and clean latents, so that they serve every noise process and every
/// prediction. Latents are `[token, channel]` or `[y, x, channel]` f32.
package struct SamplerStep {
  package let level: NoiseLevel
  package let next: NoiseLevel

  package init(from level: NoiseLevel, to next: NoiseLevel) {
    self.level = level
    self.next = next
  }

  /// How much of the next level's noise is fresh when a picture goes back as it came (DDPM): all
  /// what the level before it had already, by the ratio of their noise to their signal.
  package var ancestralEta: Float {
    let ratio = next.noise * level.signal / (level.noise * next.signal)
    return max(1 - ratio * ratio, 0).squareRoot()
  }

  /// The same when a picture goes without fresh noise to a level below the next one, and from there
  /// up to the next (Zheng et al. 2024, "Trajectory Consistency Distillation", algorithm 2).
  package func trajectoryEta(by way: NoiseLevel) -> Float {
    let ratio = next.signal / way.signal
    return min(max(1 - ratio * ratio, 0).squareRoot() / next.noise, 1)
  }

  /// Goes to the clean latents and back to the next level, with the noise that is in the latents
  /// or with fresh one: `x' = s' x0 + n' (sqrt(1 - eta²) (x - s x0) / n + eta fresh)`.
  ///
  /// With `eta` 0 it is Euler's step and, on a variance preserving process, DDIM's (Song et al.
  /// 2020, eq. 12), with `ancestralEta` that of DDPM and Euler ancestral, with `trajectoryEta` that
  /// of trajectory consistency, with 1 that of the consistency sampler (Luo et al. 2023, algorithm
  /// 3).
  /// - Parameters:
  ///   - latents: Updated in place.
  ///   - denoised: The clean latents as they seem from here.
  ///   - fresh: The step's noise, element by element.
  package func firstOrder(
    _ latents: inout [Float], denoised: [Float], eta: Float, fresh: (Int) -> Float
  ) {
    precondition(latents.count == denoised.count)
    let kept = next.noise * (1 - eta * eta).squareRoot() / level.noise
    let added = next.noise * eta
    for index in latents.indices {
      var x = next.signal * denoised[index]
      if kept != 0 { x += kept * (latents[index] - level.signal * denoised[index]) }
      if added != 0 { x += added * fresh(index) }
      latents[index] = x
    }
  }

  /// Two steps' clean latents together say where they are going: the second-order multistep form
  /// of DPM-Solver++ (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
  /// Probabilistic Models", algorithm 2), in half log-SNR `lambda = log(s / n)`.
  /// - Parameters:
  ///   - latents: Updated in place.
  ///   - denoised: The clean latents as they seem from here.
  ///   - previous: What they seemed at the level before, if there was one.
  package func dpmSolver(
    _ latents: inout [Float], denoised: [Float], previous: (denoised: [Float], level: NoiseLevel)?
  ) {
    precondition(latents.count == denoised.count)
    // To no noise at all, `lambda` has no end: that step is of first order.
    var slope: Float = 0
    if let previous, next.noise > 0 {
      let (last, this) = (Self.lambda(level) - Self.lambda(previous.level), step)
      slope = Float(this / (2 * last))
    }
    let kept = next.noise / level.noise
    let gain = next.signal * Float(-expm1(-step))
    for index in latents.indices {
      var clean = denoised[index]
      if slope != 0, let previous { clean += slope * (clean - previous.denoised[index]) }
      latents[index] = kept * latents[index] + gain * clean
    }
  }

  private var step: Double { Self.lambda(next) - Self.lambda(level) }

  private static func lambda(_ level: NoiseLevel) -> Double {
    log(Double(level.signal)) - log(Double(level.noise))
  }
}

extension NoiseSchedule {
  /// Takes one of its steps.
  /// - Parameters:
  ///   - latents: At the step's level; updated in place to the next one.
  ///   - denoised: The clean latents as they seem from here.
  ///   - previous: What they seemed at the step before; means nothing at the first one.
  ///   - fresh: The step's noise, element by element.
  package func take(
    _ step: Int, _ latents: inout [Float], denoised: [Float], previous: [Float],
    fresh: (Int) -> Float
  ) {
    let taken = SamplerStep(from: levels[step], to: levels[step + 1])
    switch order {
    case .first(let etas):
      taken.firstOrder(&latents, denoised: denoised, eta: etas[step], fresh: fresh)
    case .second:
      taken.dpmSolver(
        &latents, denoised: denoised, previous: step == 0 ? nil : (previous, levels[step - 1]))
    }
  }
}
