/// The name that a network has in its family: `denoiser`.
package struct NetworkName: Hashable, Sendable, ExpressibleByStringLiteral,
  CustomStringConvertible
{
  package let description: String

  package init(_ name: String) { description = name }
  package init(stringLiteral name: String) { description = name }
}

/// What a network is for, and with that who gives its inputs and takes its outputs.
package enum NetworkRole: Hashable, Sendable {
  /// Reads what the tokenizer of that name makes of a prompt: `ids` `[batch, token]` int32, `mask`
  /// `[batch, token]` (1, or 0 for padding), `bias` `[batch, token]` (0, or -infinity for padding).
  /// Where its extents have vectors, `vectors` `[vector, width]`, which are tokens behind the
  /// vocabulary's.
  case text(tokenizer: String)
  /// Runs once a prompt, on what the networks before it give.
  case conditioning
  /// Input `latents` of the shape of the pictures' latents, `time` `[batch]`, and what text and
  /// conditioning networks give; output `prediction` of the latents' shape. `guidance` `[batch]`,
  /// the scale less 1, where it is embedded; `source` `[batch, y, x, 1 + channel]`
  /// where it is read: 1 for what is to be drawn and 0 for what is kept, and the latents of that.
  case denoiser
  /// Input `latents` in the autoencoder's own scale; output `pixels` `[batch, y, x, channel]`.
  case decoder
  /// Input `pixels`; output `latents`.
  case encoder
}

/// One network of a family.
///
/// Tensors meet by name: every output of a text or conditioning network is written to the input of
/// that name of the networks behind it.
package struct NetworkDescription: Hashable, Sendable {
  package let name: NetworkName
  package let role: NetworkRole
  /// Which of the package's weights it reads; several networks can share one set.
  package let weights: String
  /// What the network's graph depends on.
  package let axes: Set<Extents.Axis>
  /// Whether peels may change its linears.
  package let isOpenToPeels: Bool

  package init(
    _ name: NetworkName, _ role: NetworkRole, weights: String? = nil, axes: Set<Extents.Axis>,
    isOpenToPeels: Bool = false
  ) {
    self.name = name
    self.role = role
    self.weights = weights ?? name.description
    self.axes = axes
    self.isOpenToPeels = isOpenToPeels
  }
}

/// The static sizes that a network is traced for. What a network does not depend on is 0.
package struct Extents: Hashable, Sendable {
  package enum Axis: Hashable, Sendable, CaseIterable {
    case batch, tokens, height, width, skippedLayers, vectors
  }

  /// Pictures; with guidance a picture takes two places in the denoiser's batch.
  package var batch: Int
  /// Tokens of each text, padding included.
  package var tokens: Int
  /// Latents on a side.
  package var height: Int
  package var width: Int
  /// Layers that a text network leaves out at its end.
  package var skippedLayers: Int
  /// Vectors that words of a prompt stand for: 0, or `mostVectors`, so that there are two plans.
  package var vectors: Int

  /// As many as a text network reads tokens at once.
  package static let mostVectors = TokenizerDescription.clipChunk

  package init(
    batch: Int = 1, tokens: Int = 0, height: Int = 0, width: Int = 0, skippedLayers: Int = 0,
    vectors: Int = 0
  ) {
    self.vectors = vectors
    self.batch = batch
    self.tokens = tokens
    self.height = height
    self.width = width
    self.skippedLayers = skippedLayers
  }

  package func restricted(to axes: Set<Axis>) -> Extents {
    Extents(
      batch: axes.contains(.batch) ? batch : 0, tokens: axes.contains(.tokens) ? tokens : 0,
      height: axes.contains(.height) ? height : 0, width: axes.contains(.width) ? width : 0,
      skippedLayers: axes.contains(.skippedLayers) ? skippedLayers : 0,
      vectors: axes.contains(.vectors) ? vectors : 0)
  }
}
