package import Models

/// Multi-step consistency sampling on the rectified flow: a step goes to the clean latents at once
/// and, but for the last one, back to the next noise level with fresh noise.
///
/// Luo et al. 2023, "Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step
/// Inference", algorithm 3, with `x(sigma) = (1 - sigma) x0 + sigma noise`.
package enum ConsistencySampler {
  /// Turns the network's output into the clean latents.
  /// - Parameters:
  ///   - clean: `[token, channel]` f32, written.
  ///   - latents, prediction: Same shape, the network's input at `sigma` and its output.
  package static func clean(
    into clean: UnsafeMutableBufferPointer<Float>, latents: UnsafeBufferPointer<Float>,
    prediction: UnsafeBufferPointer<Float>, sigma: Float, kind: Prediction
  ) {
    for index in clean.indices {
      let y = prediction[index]
      clean[index] = kind == .sample ? y : latents[index] - sigma * y
    }
  }

  /// Takes clean latents to a noise level.
  /// - Parameters:
  ///   - latents: `[token, channel]` f32, written.
  ///   - clean: Same shape.
  ///   - noise: The step's fresh noise, element by element.
  ///   - sigma: In `0...1`; 0 gives the clean latents.
  package static func noised(
    into latents: UnsafeMutableBufferPointer<Float>, clean: UnsafeBufferPointer<Float>,
    noise: Philox, sigma: Float
  ) {
    for index in latents.indices {
      latents[index] =
        sigma == 0 ? clean[index] : (1 - sigma) * clean[index] + sigma * noise.normal(at: index)
    }
  }
}
