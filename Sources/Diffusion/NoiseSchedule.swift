/// The noise levels that a sampler walks through, from 1 (noise) to 0 (picture).
///
/// Along the rectified flow `x(sigma) = (1 - sigma) x0 + sigma noise`. Even steps are pushed
/// towards high noise by `shift`: Esser et al. 2024, "Scaling Rectified Flow Transformers for
/// High-Resolution Image Synthesis", eq. 23.
package struct NoiseSchedule: Hashable, Sendable {
  /// `steps + 1` levels, falling from 1 to 0.
  package let sigmas: [Float]

  /// - Precondition: `steps >= 1` and `shift > 0`.
  package init(steps: Int, shift: Double) {
    precondition(steps >= 1 && shift > 0)
    sigmas = (0...steps).map { step in
      let u = 1 - Double(step) / Double(steps)
      return Float(shift * u / (1 + (shift - 1) * u))
    }
  }

  package var steps: Int { sigmas.count - 1 }
}
