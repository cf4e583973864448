package import Models

/// Classifier-free guidance: `v = unconditional + scale (conditional - unconditional)`.
///
/// Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6.
package enum Guidance {
  /// Turns predictions into the velocity that the sampler follows.
  /// - Parameters:
  ///   - velocity: `[token, channel]` f32, written.
  ///   - latents: Same shape, the latents at `sigma`.
  ///   - conditional, unconditional: Same shape, the network's outputs; without the second one
  ///     there is no guidance.
  ///   - sigma: In `0 < sigma ... 1`.
  package static func velocity(
    into velocity: UnsafeMutableBufferPointer<Float>, latents: UnsafeBufferPointer<Float>,
    conditional: UnsafeBufferPointer<Float>, unconditional: UnsafeBufferPointer<Float>?,
    scale: Float, sigma: Float, prediction: Prediction
  ) {
    for index in velocity.indices {
      var y = conditional[index]
      // Both forms are affine in the prediction with the same offset, so guiding either is equal.
      if let unconditional { y = unconditional[index] + scale * (y - unconditional[index]) }
      velocity[index] = prediction == .velocity ? y : (latents[index] - y) / sigma
    }
  }
}
