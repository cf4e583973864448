/// Advances latents along the rectified-flow ODE.
package enum EulerSampler {
  /// Advances the latents by one Euler step of `dx/dsigma = v(x, sigma)`.
  /// - Parameters:
  ///   - latents: `[token, channel]` f32, unit variance at `sigma == 1`. Updated in place.
  ///   - velocity: Same shape; `noise - x0` as the network predicts it at `sigma`.
  ///   - sigma, nextSigma: Noise levels in `0...1`, `nextSigma < sigma`.
  ///
  /// Liu et al. 2022, "Flow Straight and Fast: Learning to Generate and Transfer Data with
  /// Rectified Flow", eq. 1.
  package static func step(
    _ latents: UnsafeMutableBufferPointer<Float>, velocity: UnsafeBufferPointer<Float>,
    sigma: Float, nextSigma: Float
  ) {
    precondition(latents.count == velocity.count)
    let delta = nextSigma - sigma
    for index in latents.indices { latents[index] += delta * velocity[index] }
  }
}
