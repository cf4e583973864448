/// The noise levels that a sampler walks through, from 1 (noise) to 0 (picture).
///
/// Along the rectified flow `x(sigma) = (1 - sigma) x0 + sigma noise`. Even steps are pushed
/// towards high noise by `shift`: Esser et al. 2024, "Scaling Rectified Flow Transformers for
/// High-Resolution Image Synthesis", eq. 23.
package struct NoiseSchedule: Hashable, Sendable {
  /// `steps + 1` levels, each lower than the one before, down to 0: from 1, or from less for a
  /// picture that is changed.
  package let sigmas: [Float]

  /// - Parameters:
  ///   - requested: Denoising steps, at least 1.
  ///   - shift: Above 0.
  ///   - strength: How much of the way is walked, one of `PassSettings.strengths`: 1 begins with
  ///     noise alone; for less, the steps become fewer too. Meng et al. 2021, "SDEdit: Guided Image
  ///     Synthesis and Editing with Stochastic Differential Equations".
  /// - Throws: `GenerationError.noSchedule` for other numbers, and for those whose levels do not
  ///   fall in f32.
  package init(
    steps requested: Int, shift: Float, strength: Float = 1
  ) throws(GenerationError) {
    let failure = GenerationError.noSchedule(steps: requested, shift: shift, strength: strength)
    guard 1...1000 ~= requested, shift > 0, shift.isFinite,
      PassSettings.strengths.contains(strength)
    else { throw failure }
    // 0.3 of 10 steps are 3, though 0.3 in f32 is a little more.
    let steps = max(1, Int((Double(requested) * Double(strength) - 1e-4).rounded(.up)))
    let sigmas = (0...steps).map { step in
      let u = Double(strength) * (1 - Double(step) / Double(steps))
      return Float(Double(shift) * u / (1 + (Double(shift) - 1) * u))
    }
    guard zip(sigmas, sigmas.dropFirst()).allSatisfy({ $0 > $1 }) else { throw failure }
    self.sigmas = sigmas
  }

  package var steps: Int { sigmas.count - 1 }
}
