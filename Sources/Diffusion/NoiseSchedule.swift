/// The noise levels that a sampler walks through, from 1 (noise) to 0 (picture).
///
/// Along the rectified flow `x(sigma) = (1 - sigma) x0 + sigma noise`. Even steps are pushed
/// towards high noise by `shift`: Esser et al. 2024, "Scaling Rectified Flow Transformers for
/// High-Resolution Image Synthesis", eq. 23.
package struct NoiseSchedule: Hashable, Sendable {
  /// `steps + 1` levels, falling to 0: from 1, or from less for a picture that is changed.
  package let sigmas: [Float]

  /// - Parameters:
  ///   - strength: How much of the way is walked: 1 begins with noise alone; for less, the steps
  ///     become fewer too. Meng et al. 2021, "SDEdit: Guided Image Synthesis and Editing with
  ///     Stochastic Differential Equations".
  /// - Precondition: `steps >= 1`, `shift > 0` and `0 < strength <= 1`.
  package init(steps requested: Int, shift: Double, strength: Double = 1) {
    precondition(requested >= 1 && shift > 0 && strength > 0 && strength <= 1)
    let steps = max(1, Int((Double(requested) * strength).rounded(.up)))
    sigmas = (0...steps).map { step in
      let u = strength * (1 - Double(step) / Double(steps))
      return Float(shift * u / (1 + (shift - 1) * u))
    }
  }

  package var steps: Int { sigmas.count - 1 }
}
