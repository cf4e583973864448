/// What those who draw have to know of a model, whatever its family is.
package struct ModelFacts: Sendable, Hashable {
  package var latents: LatentSpace
  package var pixels: PixelFormat
  package var noise: NoiseProcess
  package var prediction: Prediction
  package var sampling: SamplingRecipe
  package var tokenizers: [TokenizerDescription]
  package var prompt: PromptForm
  /// Whether the denoiser reads what a picture is to keep.
  package var readsSource: Bool
  /// Never empty.
  package var sizes: [OfferedSize]
  /// What is drawn where a request names no size: one of `sizes`.
  package var nativeSize: PictureSize

  package init(
    latents: LatentSpace, pixels: PixelFormat, noise: NoiseProcess, prediction: Prediction,
    sampling: SamplingRecipe, tokenizers: [TokenizerDescription], prompt: PromptForm,
    readsSource: Bool = false, sizes: [OfferedSize], nativeSize: PictureSize
  ) {
    self.latents = latents
    self.pixels = pixels
    self.noise = noise
    self.prediction = prediction
    self.sampling = sampling
    self.tokenizers = tokenizers
    self.prompt = prompt
    self.readsSource = readsSource
    self.sizes = sizes
    self.nativeSize = nativeSize
  }

  /// The size as the model draws it; nil if it does not.
  package func offered(_ size: PictureSize) -> OfferedSize? { sizes.first { $0.size == size } }

  /// Extents of one picture of a size, for texts of so many tokens.
  package func extents(of size: OfferedSize, batch: Int = 1, tokens: Int = 0) -> Extents {
    Extents(
      batch: batch, tokens: tokens, height: size.drawn.height / latents.scale,
      width: size.drawn.width / latents.scale)
  }

  /// The spacing where a request names the sampler and none: models of their own sampler have their
  /// own, and what consistency models were distilled from goes with their samplers.
  package func spacing(for sampler: Sampler) -> TimestepSpacing? {
    let isForeign = sampler.isForDistilled && sampler != sampling.sampler
    return isForeign && !noise.spacings.isEmpty ? .lcm : noise.spacing
  }

  /// - Precondition: There is one of that name.
  package func tokenizer(_ name: String) -> TokenizerDescription {
    guard let found = tokenizers.first(where: { $0.name == name }) else {
      preconditionFailure("the family has no tokenizer \(name)")
    }
    return found
  }

  /// The extents for which networks are traced where only their weights and names matter.
  package var smallestExtents: Extents { extents(of: sizes[0], tokens: 1) }

  /// Throws for numbers that nothing can be drawn with.
  package func validate() throws(ConfigurationError) {
    try latents.validate()
    try pixels.validate()
    try sampling.validate(noise)
    try noise.validate(prediction)
    try prompt.validate()
    for tokenizer in tokenizers { try tokenizer.validate() }
    try ConfigurationError.check(
      offered(nativeSize) != nil, "picture", "\(nativeSize) is not among its sizes")
    for size in sizes { try size.validate(scale: latents.scale) }
  }
}

/// The space that a model denoises in.
package struct LatentSpace: Sendable, Hashable {
  package var channels: Int
  /// Pixels on a side that one latent covers.
  package var scale: Int
  /// What a channel's numbers are normalized by for the denoiser, `[channel]` each.
  package var mean: [Float]
  package var standardDeviation: [Float]
  package var noiseOrder: NoiseOrder
  /// What each channel adds to red, green and blue, -1 to 1: near enough for pictures that are not
  /// done. Nil where only the decoder can tell.
  package var colors: [SIMD3<Float>]?

  package init(
    channels: Int, scale: Int, mean: [Float], standardDeviation: [Float],
    noiseOrder: NoiseOrder = .planes, colors: [SIMD3<Float>]? = nil
  ) {
    self.colors = colors
    self.channels = channels
    self.scale = scale
    self.mean = mean
    self.standardDeviation = standardDeviation
    self.noiseOrder = noiseOrder
  }

  func validate() throws(ConfigurationError) {
    try ConfigurationError.check(
      channels > 0 && scale > 0 && mean.count == channels && standardDeviation.count == channels,
      "latents",
      "there are \(mean.count) means and \(standardDeviation.count) standard deviations for "
        + "\(channels) channels")
    try ConfigurationError.check(
      colors.map { $0.count == channels } ?? true, "latents",
      "there are \(colors?.count ?? 0) colors for \(channels) channels")
    try ConfigurationError.check(
      mean.allSatisfy(\.isFinite) && standardDeviation.allSatisfy { $0.isFinite && $0 > 0 },
      "latents", "a mean is not finite or a standard deviation is not positive")
  }
}

/// Which of a seed's normal numbers each latent is given.
package enum NoiseOrder: Sendable, Hashable {
  /// `[y, x, channel]`, as latents lie here; each step has a sequence of its own.
  case latents
  /// `[channel, y, x]`, each step's behind those before it, as PyTorch's generators on CUDA draw
  /// them, and other programs that give the same pictures.
  case planes
}

/// What a decoder's numbers stand for.
package enum PixelFormat: Sendable, Hashable {
  /// Premultiplied red, green, blue and alpha, 0 to 1; `clear` is the alpha that counts as none and
  /// `opaque` the one that counts as all.
  case premultipliedRGBA(clear: Float, opaque: Float)
  /// Red, green and blue, -1 to 1.
  case rgb

  package var channels: Int {
    switch self {
    case .premultipliedRGBA: 4
    case .rgb: 3
    }
  }

  func validate() throws(ConfigurationError) {
    guard case .premultipliedRGBA(let clear, let opaque) = self else { return }
    try ConfigurationError.check(
      0 <= clear && opaque - clear >= 0.1 && opaque <= 1, "picture",
      "alphaRange is not two numbers in 0...1, the second 0.1 above the first or more")
  }
}

/// The size of a picture in pixels.
package struct PictureSize: Sendable, Hashable, CustomStringConvertible {
  package var width: Int
  package var height: Int

  package init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  package var description: String { "\(width)x\(height)" }
}

/// A size that can be asked for.
package struct OfferedSize: Sendable, Hashable {
  package var size: PictureSize
  /// It is drawn so many times as large on a side, and averaged.
  package var shrinking: Int

  package init(_ size: PictureSize, shrinking: Int = 1) {
    self.size = size
    self.shrinking = shrinking
  }

  /// The size that the decoder gives.
  package var drawn: PictureSize {
    PictureSize(width: size.width * shrinking, height: size.height * shrinking)
  }

  /// Pixels on a side of the largest picture.
  package static let largest = 16_384

  func validate(scale: Int) throws(ConfigurationError) {
    // The sides first: their products must not overflow.
    let isPicture = [size.width, size.height, shrinking].allSatisfy { 1...Self.largest ~= $0 }
    try ConfigurationError.check(
      isPicture
        && [drawn.width, drawn.height].allSatisfy { $0 <= Self.largest && $0 % scale == 0 },
      "picture", "the size \(size) is not in 1...\(Self.largest), or has no whole latents")
  }
}

/// How a text is cut into numbers.
package struct TokenizerDescription: Sendable, Hashable {
  package enum Kind: Sendable, Hashable {
    /// Greedy longest pieces of words (Devlin et al. 2018).
    case wordPiece(isLowercase: Bool)
    /// CLIP's byte pairs: prompts with weights, read in chunks of `clipChunk` tokens that are
    /// filled up with `padding`. The vocabulary is a table of merges, which says all tokens.
    case clip(padding: Int32)
  }

  /// Tokens that CLIP's text encoders read at once.
  package static let clipChunk = 77
  private static let mostClipChunks = 10

  package var name: String
  package var kind: Kind
  /// The package's file with the vocabulary.
  package var vocabulary: String
  /// Tokens that the text network knows.
  package var vocabularySize: Int
  /// The most tokens that are read of a text, its beginning and its end included.
  package var maximumTokens: Int
  /// Texts are padded to one of these lengths, so that few plans serve all of them; longer ones to
  /// `maximumTokens`.
  package var paddedLengths: [Int]

  package init(
    name: String, kind: Kind, vocabulary: String, vocabularySize: Int, maximumTokens: Int,
    paddedLengths: [Int]
  ) {
    self.name = name
    self.kind = kind
    self.vocabulary = vocabulary
    self.vocabularySize = vocabularySize
    self.maximumTokens = maximumTokens
    self.paddedLengths = paddedLengths
  }

  /// CLIP's; texts have one chunk or several.
  init(clip name: String, padding: Int32, merges: String, vocabularySize: Int) {
    self.init(
      name: name, kind: .clip(padding: padding), vocabulary: merges,
      vocabularySize: vocabularySize, maximumTokens: Self.mostClipChunks * Self.clipChunk,
      paddedLengths: (1...Self.mostClipChunks).map { $0 * Self.clipChunk })
  }

  /// Tokens that a text network reads at once of a text that is padded to `tokens`.
  package func tokensAtOnce(of tokens: Int) -> Int {
    switch kind {
    case .wordPiece: tokens
    case .clip: Self.clipChunk
    }
  }

  /// The length that so many tokens are padded to.
  package func paddedLength(of tokens: Int) -> Int {
    min(paddedLengths.first { $0 >= tokens } ?? maximumTokens, maximumTokens)
  }

  func validate() throws(ConfigurationError) {
    try ConfigurationError.check(
      2...65_536 ~= maximumTokens, "tokenizer", "maximumTokens \(maximumTokens) is not in 2...65536"
    )
    try ConfigurationError.check(
      paddedLengths == paddedLengths.sorted() && paddedLengths.allSatisfy { $0 > 0 }, "tokenizer",
      "the lengths \(paddedLengths) do not rise")
  }
}

/// What a model is given for what a person wrote.
package struct PromptForm: Sendable, Hashable {
  /// A text with `{prompt}`, and with `{style}` where there are styles.
  package var template: String
  package var styles: [String]
  /// One of the styles; nil where there are none.
  package var defaultStyle: String?
  /// Layers of the text networks that a request may leave out, last ones first.
  package var skippableLayers: Int

  package init(
    template: String = "{prompt}", styles: [String] = [], defaultStyle: String? = nil,
    skippableLayers: Int = 0
  ) {
    self.skippableLayers = skippableLayers
    self.template = template
    self.styles = styles
    self.defaultStyle = defaultStyle
  }

  func validate() throws(ConfigurationError) {
    try ConfigurationError.check(
      defaultStyle.map(styles.contains) ?? styles.isEmpty, "prompt",
      "its default style is not among its styles")
    try ConfigurationError.check(
      template.split(separator: "{prompt}", omittingEmptySubsequences: false).count == 2, "prompt",
      "its template does not have {prompt} once")
  }
}
