package import Graph

/// The family of the embedded sticker model.
package struct Sticker: ConfigurableFamily {
  package let configuration: StickerConfiguration

  package init(_ configuration: StickerConfiguration) throws(ConfigurationError) {
    try configuration.validate()
    self.configuration = configuration
  }

  /// The autoencoder and the denoiser see whole pictures of one size.
  package let networks = [
    NetworkDescription(
      "textEncoder", .text(tokenizer: "wordpiece"), axes: [.batch, .tokens]),
    NetworkDescription(
      "context", .conditioning, weights: "denoiser", axes: [.batch, .tokens], isOpenToPeels: true),
    NetworkDescription("denoiser", .denoiser, axes: [.batch, .tokens], isOpenToPeels: true),
    NetworkDescription("decoder", .decoder, axes: [.batch]),
    NetworkDescription("encoder", .encoder, axes: [.batch]),
  ]

  package func graph(of name: NetworkName, _ extents: Extents) -> Graph {
    let c = configuration
    let (batch, tokens) = (extents.batch, extents.tokens)
    switch name {
    case "textEncoder":
      return StickerTextEncoder(configuration: c.textEncoder).graph(batch: batch, tokens: tokens)
    case "context":
      return StickerDenoiser(configuration: c.denoiser).context(batch: batch, tokens: tokens)
    case "denoiser":
      return StickerDenoiser(configuration: c.denoiser).graph(batch: batch, tokens: tokens)
    case "decoder": return StickerDecoder(configuration: c.decoder).graph(batch: batch)
    case "encoder":
      return StickerEncoder(configuration: c.encoder).graph(
        batch: batch, latentHeight: c.denoiser.latentHeight, latentWidth: c.denoiser.latentWidth)
    default: preconditionFailure("the sticker family has no network \(name)")
    }
  }

  package var facts: ModelFacts {
    let c = configuration
    let native = c.denoiser.latentHeight * c.decoder.patch
    return ModelFacts(
      latents: LatentSpace(
        channels: c.denoiser.latentChannels, scale: c.decoder.patch, mean: c.latents.mean,
        standardDeviation: c.latents.standardDeviation, noiseOrder: .latents),
      pixels: .premultipliedRGBA(clear: c.alphaRange?[0] ?? 0, opaque: c.alphaRange?[1] ?? 1),
      noise: .flow(shift: c.sampling.sigmaShift), prediction: c.denoiser.prediction,
      sampling: SamplingRecipe(
        sampler: c.sampling.sampler ?? .euler, steps: c.sampling.steps,
        guidance: c.sampling.guidance,
        guidanceForm: c.sampling.sampler == .consistency ? .folded : .classifierFree),
      tokenizers: [
        TokenizerDescription(
          name: "wordpiece", kind: .wordPiece(isLowercase: c.text.lowercase),
          vocabulary: c.text.vocabulary, vocabularySize: c.textEncoder.vocabularySize,
          maximumTokens: min(c.text.maximumTokens, c.textEncoder.maximumPositions),
          paddedLengths: [16, 32, 64])
      ],
      prompt: PromptForm(
        template: c.text.promptTemplate, styles: c.text.styles, defaultStyle: c.text.defaultStyle),
      sizes: c.sizes.map { side in
        OfferedSize(PictureSize(width: side, height: side), shrinking: native / max(side, 1))
      },
      nativeSize: PictureSize(width: native, height: native))
  }
}
