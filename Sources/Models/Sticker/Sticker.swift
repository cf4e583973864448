package import Graph
package import TensorTypes

/// The family of the embedded sticker model.
package struct Sticker: ConfigurableFamily {
  package let configuration: StickerConfiguration

  package init(_ configuration: StickerConfiguration) throws(ConfigurationError) {
    try configuration.validate()
    self.configuration = configuration
  }

  package var latentShape: Shape {
    let c = configuration.denoiser
    return [c.latentHeight, c.latentWidth, c.latentChannels]
  }

  package var nativeSize: Int { configuration.denoiser.latentHeight * configuration.decoder.patch }
  package var contextLayers: Int { configuration.denoiser.layers }
  package var vocabularySize: Int { configuration.textEncoder.vocabularySize }
  package var prediction: Prediction { configuration.denoiser.prediction }
  package var maximumTokens: Int { configuration.textEncoder.maximumPositions }

  package func textEncoder(batch: Int, tokens: Int) -> Graph {
    StickerTextEncoder(configuration.textEncoder).textEncoder(batch: batch, tokens: tokens)
  }

  package func context(batch: Int, tokens: Int) -> Graph {
    StickerDenoiser(configuration.denoiser).context(batch: batch, tokens: tokens)
  }

  package func denoiser(batch: Int, tokens: Int) -> Graph {
    StickerDenoiser(configuration.denoiser).denoiser(batch: batch, tokens: tokens)
  }

  package func decoder(batch: Int) -> Graph {
    StickerDecoder(configuration.decoder).decoder(batch: batch)
  }

  package func encoder(batch: Int) -> Graph {
    StickerEncoder(configuration.encoder).encoder(
      batch: batch, latentHeight: configuration.denoiser.latentHeight,
      latentWidth: configuration.denoiser.latentWidth)
  }
}
