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

/// The noise levels that a sampler walks through, down to the picture.
package struct NoiseSchedule: Hashable, Sendable {
  /// `steps + 1` levels, each with less noise than the one before, down to none: from noise alone,
  /// or from less for a picture that is changed.
  package let levels: [NoiseLevel]

  /// - Parameters:
  ///   - requested: Denoising steps, at least 1.
  ///   - strength: How much of the way is walked, one of `PictureRequest.strengths`: 1 begins with
  ///     noise alone; for less, the steps become fewer too. Meng et al. 2021, "SDEdit: Guided Image
  ///     Synthesis and Editing with Stochastic Differential Equations".
  /// - Throws: `GenerationError.noSchedule` for other numbers, and for those whose levels do not
  ///   fall in f32.
  package init(
    _ process: NoiseProcess, steps requested: Int, strength: Float = 1
  ) throws(GenerationError) {
    let failure = GenerationError.noSchedule(steps: requested, strength: strength)
    guard 1...1000 ~= requested, PictureRequest.strengths.contains(strength) else { throw failure }
    // 0.3 of 10 steps are 3, though 0.3 in f32 is a little more.
    let steps = max(1, Int((Double(requested) * Double(strength) - 1e-4).rounded(.up)))
    switch process {
    case .flow(let shift):
      levels = Self.flow(steps: steps, shift: Double(shift), strength: Double(strength))
    case .variancePreserving(let betas, let spacing):
      levels = Self.variancePreserving(betas, spacing, of: requested, last: steps)
    }
    let noises = levels.map(\.noise)
    guard zip(noises, noises.dropFirst()).allSatisfy({ $0 > $1 }) else { throw failure }
  }

  package var steps: Int { levels.count - 1 }

  private static func flow(steps: Int, shift: Double, strength: Double) -> [NoiseLevel] {
    (0...steps).map { step in
      let u = strength * (1 - Double(step) / Double(steps))
      let noise = Float(shift * u / (1 + (shift - 1) * u))
      return NoiseLevel(signal: 1 - noise, noise: noise, time: noise)
    }
  }

  /// The last `steps` of the `requested` levels that the spacing gives, and the picture.
  private static func variancePreserving(
    _ betas: Betas, _ spacing: TimestepSpacing, of requested: Int, last steps: Int
  ) -> [NoiseLevel] {
    let signals = betas.cumulativeSignals
    let times = (0..<requested).map { step in
      switch spacing {
      case .trailing:
        let part = Double(betas.count) * (1 - Double(step) / Double(requested))
        return Int(part.rounded(.toNearestOrEven)) - 1
      case .leading(let offset):
        return (requested - 1 - step) * (betas.count / requested) + offset
      }
    }
    return times.suffix(steps).map { time in
      let time = min(max(time, 0), betas.count - 1)
      return NoiseLevel(
        signal: Float(signals[time].squareRoot()), noise: Float((1 - signals[time]).squareRoot()),
        time: Float(time))
    } + [.clean]
  }
}
