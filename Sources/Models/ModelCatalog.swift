package import Graph
package import TensorTypes

/// What a denoiser's output stands for.
package enum Prediction: String, Decodable, Hashable, Sendable {
  /// The clean latents `x0`. Li and He 2025, "Back to Basics: Let Denoising Generative Models
  /// Denoise".
  case sample
  /// The flow's velocity `noise - x0`.
  case velocity
}

/// The networks of one model family, traced for the shapes that are asked for.
///
/// Batches are of pictures; with guidance a picture takes two places in the denoiser's batch.
package protocol ModelFamily: Sendable {
  /// `[y, x, channel]` of one picture's latents.
  var latentShape: Shape { get }
  /// Pixels on a side of the picture that one decoding gives.
  var nativeSize: Int { get }
  /// Layers whose keys and values the context gives.
  var contextLayers: Int { get }
  /// Tokens that the text encoder knows.
  var vocabularySize: Int { get }
  /// What the denoiser's output stands for.
  var prediction: Prediction { get }
  /// The most tokens that a prompt can have.
  var maximumTokens: Int { get }

  /// Inputs `ids` `[batch, token]` int32, `mask` `[batch, token]` (1, or 0 for padding), `bias`
  /// `[batch, token]` (0, or -infinity for padding); outputs `hidden` `[batch, token, width]`
  /// and `pooled` `[batch, width]`.
  func textEncoder(batch: Int, tokens: Int) -> Graph
  /// Input `hidden`; outputs `keys.N` and `values.N`, `[batch, token, kvWidth]`, for each layer.
  func context(batch: Int, tokens: Int) -> Graph
  /// Inputs `latents` `[batch, token, channel]`, `sigma` `[batch]`, `pooled`, `bias`, `keys.N` and
  /// `values.N`; output `prediction` of the latents' shape.
  func denoiser(batch: Int, tokens: Int) -> Graph
  /// Input `latents` `[batch, y, x, channel]`; output `pixels` `[batch, Y, X, 4]`, premultiplied.
  func decoder(batch: Int) -> Graph
  /// Input `pixels`; output `latents`.
  func encoder(batch: Int) -> Graph
}

/// The parts of a model package that hold weights, by file stem.
package enum ModelComponent: String, CaseIterable, Sendable {
  case textEncoder = "text_encoder"
  case denoiser
  case decoder
  case encoder
}

/// A model family whose configuration is one decodable value.
package protocol ConfigurableFamily: ModelFamily {
  associatedtype Configuration: Decodable & Sendable
  init(_ configuration: Configuration) throws(ConfigurationError)
}

/// Every family that this program can run: to add one, add a folder and a line.
package enum ModelCatalog {
  package static let families: [String: any ConfigurableFamily.Type] = [
    "sticker-dit": Sticker.self
  ]
}
