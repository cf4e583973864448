package import Graph

/// Stable Diffusion 1 and 2, what was pruned from them and what was distilled: a CLIP text encoder,
/// a UNet and an autoencoder, each of the extents that its checkpoint has.
///
/// Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models".
package struct StableDiffusion: ConfigurableFamily {
  private enum Halves: Sendable {
    case full(Autoencoder, AutoencoderConfiguration)
    case tiny(TinyAutoencoder)
  }

  private let text: CLIPTextEncoder
  private let unet: UNet
  private let autoencoder: Halves
  private let scheduler: SchedulerConfiguration
  private let tokenizer: StableDiffusionConfiguration.Tokenizer
  private let sampling: StableDiffusionConfiguration.Sampling
  /// Latents on a side of the pictures that it was trained with.
  private let sampleSize: Int

  package init(_ configuration: StableDiffusionConfiguration) throws(ConfigurationError) {
    let text = try CLIPTextConfiguration(configuration.textEncoder)
    let unet = try UNetConfiguration(configuration.unet)
    self.text = CLIPTextEncoder(configuration: text)
    self.unet = UNet(configuration: unet)
    autoencoder = try Self.autoencoder(configuration.autoencoder)
    scheduler = try SchedulerConfiguration(
      configuration.scheduler, configuration.sampling.spacing)
    tokenizer = configuration.tokenizer
    sampling = configuration.sampling
    sampleSize =
      try DiffusersFields(component: "UNet", configuration: configuration.unet)
      .optionalInteger("sample_size", in: 1...1024) ?? 64
    try validate()
  }

  private static func autoencoder(
    _ configuration: DiffusersConfiguration
  ) throws(ConfigurationError) -> Halves {
    if configuration["_class_name"] == .text("AutoencoderTiny") {
      return .tiny(try TinyAutoencoder(.init(configuration)))
    }
    let extents = try AutoencoderConfiguration(configuration)
    return .full(Autoencoder(configuration: extents), extents)
  }

  private func validate() throws(ConfigurationError) {
    let (text, unet) = (text.configuration, unet.configuration)
    try ConfigurationError.check(
      text.width == unet.textWidth, "UNet",
      "cross_attention_dim is \(unet.textWidth), and the text encoder has \(text.width) channels")
    try ConfigurationError.check(
      text.maximumPositions >= TokenizerDescription.clipChunk, "text encoder",
      "max_position_embeddings is \(text.maximumPositions), and texts are read in chunks of "
        + "\(TokenizerDescription.clipChunk) tokens")
    try ConfigurationError.check(
      0..<text.vocabularySize ~= Int(tokenizer.padding), "tokenizer",
      "its padding \(tokenizer.padding) is none of \(text.vocabularySize) tokens")
    try ConfigurationError.check(
      [unet.outChannels, 2 * unet.outChannels + 1].contains(unet.inChannels), "UNet",
      "in_channels is \(unet.inChannels): only those that read \(unet.outChannels), the picture's "
        + "latents, or beside them what is to be kept of a picture, can be drawn with")
    try ConfigurationError.check(
      latentChannels == unet.outChannels, "autoencoder",
      "latent_channels is \(latentChannels), and the UNet's out_channels \(unet.outChannels)")
    try ConfigurationError.check(
      64 % (unet.scale * scale) == 0, "UNet",
      "its blocks and the autoencoder's halve the resolution \(unet.scale * scale) times: pictures "
        + "have multiples of 64 pixels on a side")
    try ConfigurationError.check(
      sampleSize * scale % 64 == 0, "UNet",
      "sample_size is \(sampleSize), not a multiple of 64 "
        + "pixels")
  }

  package let networks = [
    NetworkDescription(
      "textEncoder", .text(tokenizer: "clip"), axes: [.batch, .tokens, .skippedLayers, .vectors],
      isOpenToPeels: true),
    NetworkDescription(
      "context", .conditioning, weights: "unet", axes: [.batch, .tokens], isOpenToPeels: true),
    NetworkDescription(
      "denoiser", .denoiser, weights: "unet", axes: [.batch, .tokens, .height, .width],
      isOpenToPeels: true),
    NetworkDescription(
      "decoder", .decoder, weights: "autoencoder", axes: [.batch, .height, .width]),
    NetworkDescription(
      "encoder", .encoder, weights: "autoencoder", axes: [.batch, .height, .width]),
  ]

  package func graph(of name: NetworkName, _ extents: Extents) -> Graph {
    let (batch, tokens) = (extents.batch, extents.tokens)
    let (height, width) = (extents.height, extents.width)
    switch name {
    case "textEncoder":
      return text.graph(
        batch: batch, tokens: tokens, skipped: extents.skippedLayers, vectors: extents.vectors)
    case "context": return unet.context(batch: batch, tokens: tokens)
    case "denoiser":
      return unet.graph(batch: batch, tokens: tokens, height: height, width: width)
    case "decoder":
      return switch autoencoder {
      case .full(let full, _):
        full.decoder(batch: batch, latentHeight: height, latentWidth: width)
      case .tiny(let tiny):
        tiny.decoder(batch: batch, latentHeight: height, latentWidth: width)
      }
    case "encoder":
      return switch autoencoder {
      case .full(let full, _):
        full.encoder(batch: batch, latentHeight: height, latentWidth: width)
      case .tiny(let tiny):
        tiny.encoder(batch: batch, latentHeight: height, latentWidth: width)
      }
    default: preconditionFailure("the family has no network \(name)")
    }
  }

  package var facts: ModelFacts {
    let native = PictureSize(width: sampleSize * scale, height: sampleSize * scale)
    return ModelFacts(
      latents: latents, pixels: .rgb,
      noise: .variancePreserving(scheduler.betas, scheduler.timesteps),
      prediction: scheduler.prediction,
      sampling: SamplingRecipe(
        sampler: sampling.sampler, steps: sampling.steps, guidance: sampling.guidance,
        guidanceForm: guidanceForm),
      tokenizers: [
        TokenizerDescription(
          clip: "clip", padding: tokenizer.padding, merges: "merges.txt",
          vocabularySize: text.configuration.vocabularySize)
      ],
      prompt: PromptForm(skippableLayers: text.configuration.layers - 1),
      readsSource: unet.configuration.inChannels > unet.configuration.outChannels,
      sizes: Self.sizes(around: native), nativeSize: native)
  }

  private var guidanceForm: GuidanceForm {
    if unet.configuration.guidanceChannels != nil { return .embedded }
    return sampling.isGuidanceFixed ? .folded : .classifierFree
  }

  /// Pixels on a side that one latent covers.
  private var scale: Int {
    switch autoencoder {
    case .full(_, let configuration): configuration.scale
    case .tiny(let tiny): tiny.scale
    }
  }

  private var latentChannels: Int {
    switch autoencoder {
    case .full(_, let configuration): configuration.latentChannels
    case .tiny(let tiny): tiny.configuration.latentChannels
    }
  }

  private var latents: LatentSpace {
    let (mean, deviation): (Float, Float) =
      switch autoencoder {
      case .full(_, let c): (c.shiftFactor, 1 / c.scalingFactor)
      // It takes and gives latents as the denoiser has them.
      case .tiny: (0, 1)
      }
    return LatentSpace(
      channels: latentChannels, scale: scale,
      mean: Array(repeating: mean, count: latentChannels),
      standardDeviation: Array(repeating: deviation, count: latentChannels),
      colors: latentChannels == 4 ? Self.colors : nil)
  }

  /// Of Stable Diffusion's four channels, fitted to many pictures and the latents of them: Turner
  /// 2022, "Decoding latents to RGB without upscaling", and the programs that show previews.
  private static let colors: [SIMD3<Float>] = [
    [0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473],
  ]

  /// Every multiple of 64 from 256 to 1024 on a side, and what the checkpoint was trained with.
  private static func sizes(around native: PictureSize) -> [OfferedSize] {
    let sides = Array(stride(from: min(256, native.width), through: 1024, by: 64))
    let sizes = sides.flatMap { width in
      sides.map { OfferedSize(PictureSize(width: width, height: $0)) }
    }
    let isNative = sizes.contains { $0.size == native }
    return isNative ? sizes : sizes + [OfferedSize(native)]
  }
}
