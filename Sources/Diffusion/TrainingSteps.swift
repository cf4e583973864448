import Models

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The steps of training of a variance preserving process, and which of them a sampler takes, as
/// diffusers' schedulers do.
struct TrainingSteps {
  /// What is left of the picture's variance, `[step]`, falling.
  private let signals: [Double]
  private let timesteps: Timesteps
  private let sampler: Sampler
  private let spacing: TimestepSpacing

  init(
    _ betas: Betas, _ timesteps: Timesteps, _ sampler: Sampler, _ spacing: TimestepSpacing
  ) {
    (self.timesteps, self.sampler, self.spacing) = (timesteps, sampler, spacing)
    // Noise over signal is only finite where there is some of it.
    let dividesBySignal =
      switch sampler {
      case .euler, .eulerAncestral, .dpmSolver: true
      case .ddim, .consistency, .trajectoryConsistency: spacing == .karras
      }
    signals = betas.cumulativeSignals.map { dividesBySignal ? max($0, Betas.leastSignal) : $0 }
  }

  /// The last of the levels that the spacing gives for so many steps, and where the sampler ends.
  ///
  /// Of four steps and a strength of 0.6 the last two, as diffusers does. Where not one would be
  /// left, which diffusers refuses, the last one of as many as leave it: with the one step of a
  /// distilled model, a picture is changed by the strength all the same and not drawn anew.
  func levels(of requested: Int, strength: Double) -> [NoiseLevel] {
    let whole = max(requested, min(Int((1 / strength).rounded(.up)), signals.count))
    // 0.7 of 10 steps are 7, though 0.7 in f32 is a little less.
    let steps = max(1, Int(Double(whole) * strength + 1e-4))
    let levels =
      switch spacing {
      case .trailing: trailing(whole).suffix(steps).map(level(at:))
      case .leading: leading(whole).suffix(steps).map(level(at:))
      case .karras: karras(whole).suffix(steps).map(level(ratio:))
      case .lcm: distilled(requested, strength).map(level(at:))
      }
    let endsClean =
      switch sampler {
      case .trajectoryConsistency: false
      case .ddim: timesteps.ddimEndsClean
      case .euler, .eulerAncestral, .consistency, .dpmSolver: true
      }
    let first = level(at: 0)
    return levels + [endsClean || levels.last!.noise <= first.noise ? .clean : first]
  }

  /// - Parameter time: A step.
  func level(at time: Double) -> NoiseLevel {
    let signal = signals[min(max(Int(time), 0), signals.count - 1)]
    return NoiseLevel(
      signal: Float(signal.squareRoot()), noise: Float((1 - signal).squareRoot()),
      time: Float(time))
  }

  private func trailing(_ requested: Int) -> [Double] {
    let (count, ratio) = (Double(signals.count), Double(signals.count) / Double(requested))
    return (0..<requested).map { (count - Double($0) * ratio).rounded(.toNearestOrEven) - 1 }
  }

  /// DPM-Solver counts the step to the picture too.
  private func leading(_ requested: Int) -> [Double] {
    let parts = sampler == .dpmSolver ? requested + 1 : requested
    return (0..<requested).map { step in
      let time = (parts - 1 - step) * (signals.count / parts) + timesteps.offset
      return Double(min(time, signals.count - 1))
    }
  }

  /// A picture that is changed goes through the same number of steps, which lie closer together.
  private func distilled(_ requested: Int, _ strength: Double) -> [Double] {
    let known = max(Int(Double(timesteps.distilled) * strength + 1e-4), 1)
    let taken = min(requested, known)
    let stride = Double(known) / Double(taken)
    return (0..<taken).map { step in
      let index = known - Int((Double(step) * stride).rounded(.down))
      return Double(index * (signals.count / timesteps.distilled) - 1)
    }
  }

  /// Noise over signal.
  private func karras(_ requested: Int) -> [Double] {
    let exponent = 7.0
    let (from, to) = (
      pow(ratio(signals.count - 1), 1 / exponent), pow(ratio(0), 1 / exponent)
    )
    return (0..<requested).map { step in
      pow(from + Double(step) / Double(max(requested - 1, 1)) * (to - from), exponent)
    }
  }

  private func ratio(_ step: Int) -> Double { ((1 - signals[step]) / signals[step]).squareRoot() }

  /// A level between steps, whose time lies as the logarithm of noise over signal does; whole for
  /// DPM-Solver.
  private func level(ratio: Double) -> NoiseLevel {
    let above = signals.indices.first { self.ratio($0) > ratio } ?? signals.count - 1
    let low = min(max(above - 1, 0), signals.count - 2)
    let (from, to) = (log(self.ratio(low)), log(self.ratio(low + 1)))
    let time = Double(low) + min(max((log(ratio) - from) / (to - from), 0), 1)
    let signal = 1 / (1 + ratio * ratio)
    return NoiseLevel(
      signal: Float(signal.squareRoot()), noise: Float((1 - signal).squareRoot()),
      time: Float(sampler == .dpmSolver ? time.rounded(.toNearestOrEven) : time))
  }
}
