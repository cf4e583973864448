import TensorTypes

/// The extents of the sticker family's networks, as `model.json` gives them.
package struct StickerConfiguration: Decodable, Hashable, Sendable {
  /// A BERT encoder. Devlin et al. 2018.
  package struct TextEncoder: Decodable, Hashable, Sendable {
    package var vocabularySize: Int
    package var width: Int
    package var layers: Int
    package var heads: Int
    package var hiddenWidth: Int
    package var maximumPositions: Int
    package var normEpsilon: Float
  }

  /// A diffusion transformer over the autoencoder's latents.
  package struct Denoiser: Decodable, Hashable, Sendable {
    package var latentChannels: Int
    package var latentHeight: Int
    package var latentWidth: Int
    package var width: Int
    package var layers: Int
    package var heads: Int
    package var keyValueHeads: Int
    package var hiddenWidth: Int
    package var textWidth: Int
    package var sigmaChannels: Int
    package var prediction: Prediction
    package var ropeBase: Float
    package var normEpsilon: Float

    package var headWidth: Int { width / heads }
    package var keyValueWidth: Int { headWidth * keyValueHeads }
    package var tokens: Int { latentHeight * latentWidth }
  }

  /// The autoencoder's second half: a transformer over latents that gives patches of pixels.
  package struct Decoder: Decodable, Hashable, Sendable {
    package var latentChannels: Int
    /// Pixels on a side that one latent covers.
    package var patch: Int
    package var latentHeight: Int
    package var latentWidth: Int
    package var width: Int
    package var layers: Int
    package var heads: Int
    package var keyValueHeads: Int
    package var hiddenWidth: Int
    package var ropeBase: Float
    package var normEpsilon: Float

    package var headWidth: Int { width / heads }
    package var keyValueWidth: Int { headWidth * keyValueHeads }
    package var tokens: Int { latentHeight * latentWidth }
  }

  /// The autoencoder's first half: stages of residual blocks from the finest to the coarsest
  /// resolution, beside one linear map over whole patches.
  package struct Encoder: Decodable, Hashable, Sendable {
    package var latentChannels: Int
    /// Channels of each stage, in the order in which data passes them.
    package var widths: [Int]
    /// Residual blocks of each stage.
    package var blocks: [Int]
    /// Pixels on a side that one place of the finest stage covers.
    package var headFactor: Int
    package var normEpsilon: Float

    /// Pixels on a side that one latent covers.
    package var patch: Int { headFactor << (widths.count - 1) }
  }

  /// How prompts become tokens.
  package struct Text: Decodable, Hashable, Sendable {
    /// The name of the vocabulary's file.
    package var vocabulary: String
    package var lowercase: Bool
    /// With `[CLS]` and `[SEP]`.
    package var maximumTokens: Int
    /// A text with `{style}` and `{prompt}`.
    package var promptTemplate: String
    package var styles: [String]
    package var defaultStyle: String
  }

  /// The statistics by which latents are normalized, `[latentChannel]` each.
  package struct Latents: Decodable, Hashable, Sendable {
    package var mean: [Float]
    package var standardDeviation: [Float]
  }

  /// What is taken where a request says nothing.
  package struct Sampling: Decodable, Hashable, Sendable {
    /// Euler's if nil.
    package var sampler: Sampler?
    package var steps: Int
    /// 1 for the consistency sampler, whose models have guidance folded in.
    package var guidance: Float
    package var sigmaShift: Float
  }

  package var text: Text
  package var textEncoder: TextEncoder
  package var denoiser: Denoiser
  package var decoder: Decoder
  package var encoder: Encoder
  package var latents: Latents
  package var sampling: Sampling
  /// The decoder's alpha that counts as clear and as opaque; 0 and 1 if nil.
  package var alphaRange: [Float]?
  /// Sides of the square pictures that can be asked for, in pixels.
  package var sizes: [Int]

  /// Throws if the parts do not fit each other or are of no size that the ops can take.
  package func validate() throws(ConfigurationError) {
    try textEncoder.validate()
    try denoiser.validate(textWidth: textEncoder.width)
    try decoder.validate(denoiser)
    try encoder.validate(latentChannels: denoiser.latentChannels)
    try ConfigurationError.check(
      decoder.patch == encoder.patch, "autoencoder", "its halves differ in scale")
    try ConfigurationError.check(
      alphaRange.map { $0.count == 2 } ?? true, "picture", "alphaRange is not two numbers")
    let native = denoiser.latentHeight * decoder.patch
    for size in sizes {
      try ConfigurationError.check(
        size > 0 && native % size == 0, "picture", "the size \(size) does not divide \(native)")
    }
    try ConfigurationError.check(
      sizes.contains(native), "picture", "\(native), which it draws, is not among its sizes")
  }
}

/// Larger extents than any real model's are refused before memory is asked for, and before their
/// products leave what kernels count in.
private let plausible = 1...65_536
private let plausibleLayers = 1...1024
/// Latents on a side: with the largest patch, more pixels than any memory holds.
private let plausibleSide = 1...1024
/// Pixels on a side.
private let largestPicture = 16_384

private func checkNumbers(
  _ component: String, layers: Int, epsilon: Float, ropeBase: Float = 1
) throws(ConfigurationError) {
  try ConfigurationError.check(
    plausibleLayers.contains(layers), component, "layers \(layers) is not in \(plausibleLayers)")
  try ConfigurationError.check(
    (0...1).contains(epsilon), component, "normEpsilon \(epsilon) is not in 0...1")
  try ConfigurationError.check(
    (1...1e9).contains(ropeBase), component, "ropeBase \(ropeBase) is not in 1...1e9")
}

extension StickerConfiguration.TextEncoder {
  fileprivate func validate() throws(ConfigurationError) {
    let extents = [width, layers, heads, hiddenWidth, maximumPositions]
    try ConfigurationError.check(
      extents.allSatisfy(plausible.contains) && (1...10_000_000).contains(vocabularySize),
      "text encoder", "an extent is not in \(plausible)")
    try checkNumbers("text encoder", layers: layers, epsilon: normEpsilon)
    // The least that a prompt has: its beginning and its end.
    try ConfigurationError.check(
      maximumPositions >= 2, "text encoder", "maximumPositions \(maximumPositions) is below 2")
    try ConfigurationError.check(
      width % heads == 0, "text encoder", "width \(width) does not divide by \(heads) heads")
  }
}

extension StickerConfiguration.Denoiser {
  fileprivate func validate(textWidth expected: Int) throws(ConfigurationError) {
    let extents = [
      latentChannels, latentHeight, latentWidth, width, layers, heads, keyValueHeads, hiddenWidth,
      sigmaChannels,
    ]
    try ConfigurationError.check(
      extents.allSatisfy(plausible.contains), "denoiser", "an extent is not in \(plausible)")
    try checkNumbers("denoiser", layers: layers, epsilon: normEpsilon, ropeBase: ropeBase)
    try ConfigurationError.check(
      latentHeight == latentWidth && plausibleSide.contains(latentHeight), "denoiser",
      "latents of \(latentHeight)x\(latentWidth) are no square with a side in \(plausibleSide)")
    try checkHeads("denoiser", width: width, heads: heads, keyValueHeads: keyValueHeads)
    try ConfigurationError.check(
      sigmaChannels % 2 == 0, "denoiser", "sigmaChannels \(sigmaChannels) is odd")
    try ConfigurationError.check(
      textWidth == expected, "denoiser",
      "textWidth \(textWidth) is not the text encoder's width \(expected)")
  }
}

extension StickerConfiguration.Decoder {
  fileprivate func validate(
    _ denoiser: StickerConfiguration.Denoiser
  ) throws(ConfigurationError) {
    let extents = [width, layers, heads, keyValueHeads, hiddenWidth]
    try ConfigurationError.check(
      extents.allSatisfy(plausible.contains) && (1...1024).contains(patch), "decoder",
      "an extent is not in \(plausible)")
    try checkNumbers("decoder", layers: layers, epsilon: normEpsilon, ropeBase: ropeBase)
    try checkHeads("decoder", width: width, heads: heads, keyValueHeads: keyValueHeads)
    try ConfigurationError.check(
      latentChannels == denoiser.latentChannels && latentHeight == denoiser.latentHeight
        && latentWidth == denoiser.latentWidth,
      "decoder", "its latents are not the denoiser's")
    try ConfigurationError.check(
      latentHeight * patch <= largestPicture, "decoder",
      "pictures have \(latentHeight * patch) pixels on a side; \(largestPicture) are the most")
  }
}

extension StickerConfiguration.Encoder {
  fileprivate func validate(latentChannels expected: Int) throws(ConfigurationError) {
    try ConfigurationError.check(
      (widths + [headFactor, latentChannels]).allSatisfy(plausible.contains), "encoder",
      "an extent is not in \(plausible)")
    try ConfigurationError.check(
      (1...8).contains(widths.count) && blocks.count == widths.count
        && blocks.allSatisfy((0...64).contains) && headFactor <= 64,
      "encoder", "it needs 1 to 8 stages with a count of blocks each")
    try checkNumbers("encoder", layers: 1, epsilon: normEpsilon)
    try ConfigurationError.check(
      latentChannels == expected, "encoder",
      "latentChannels \(latentChannels) is not the denoiser's \(expected)")
  }
}

private func checkHeads(
  _ component: String, width: Int, heads: Int, keyValueHeads: Int
) throws(ConfigurationError) {
  try ConfigurationError.check(
    width % heads == 0 && width / heads % 4 == 0, component,
    "width \(width) does not split into \(heads) heads of a multiple of 4 channels")
  try ConfigurationError.check(
    heads % keyValueHeads == 0, component,
    "\(heads) query heads do not share \(keyValueHeads) key and value heads evenly")
}
