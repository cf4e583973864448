package import Graph
import TensorTypes

/// The small autoencoder for the latents of other models: TAESD for those of Stable Diffusion,
/// TAESDXL, TAESD3 and TAEF1 for theirs. Nothing but convolutions of one width and ReLU.
///
/// Bohan 2023, https://github.com/madebyollin/taesd; the weights have the names that
/// `AutoencoderTiny` in diffusers gives them.
package struct TinyAutoencoder: Hashable, Sendable {
  /// What a checkpoint says of itself.
  package struct Configuration: Hashable, Sendable {
    package var latentChannels: Int
    package var width: Int
    /// Blocks in each stage, first to last; between two stages of the encoder pixels halve on a
    /// side, between two of the decoder they double.
    package var encoderBlocks: [Int]
    package var decoderBlocks: [Int]

    package init(
      latentChannels: Int = 4, width: Int = 64, encoderBlocks: [Int] = [1, 3, 3, 3],
      decoderBlocks: [Int] = [3, 3, 3, 1]
    ) {
      self.latentChannels = latentChannels
      self.width = width
      self.encoderBlocks = encoderBlocks
      self.decoderBlocks = decoderBlocks
    }
  }

  package let configuration: Configuration

  package init(_ configuration: Configuration) throws(ConfigurationError) {
    try configuration.validate()
    self.configuration = configuration
  }

  /// Pixels on a side that one latent covers.
  package var scale: Int { 1 << (configuration.decoderBlocks.count - 1) }

  /// `latents` `[batch, y, x, latentChannels]` of the denoiser's scale to `pixels`
  /// `[batch, y * scale, x * scale, 3]`, red, green and blue, -1 to 1.
  package func decoder(batch: Int, latentHeight: Int, latentWidth: Int) -> Graph {
    let c = configuration
    var layers = Layers(WeightScope()["decoder"]["layers"])
    let g = GraphBuilder("decoder")
    let latents = g.input("latents", [batch, latentHeight, latentWidth, c.latentChannels])

    // Latents far out count as 3.
    var x = g.scale(g.tanh(g.scale(latents, by: 1 / 3)), by: 3)
    x = g.relu(g.convolution(x, layers.next(), outputs: c.width))
    layers.skip()  // the ReLU
    for (stage, blocks) in c.decoderBlocks.enumerated() {
      for _ in 0..<blocks { x = block(g, x, layers.next()["conv"]) }
      g.tap("decoder.stages.\(stage)", x)
      guard stage < c.decoderBlocks.count - 1 else { continue }
      layers.skip()  // the enlargement, which is the convolution's
      x = g.convolution(
        x, layers.next(), outputs: c.width, hasBias: false, upsampling: 2)  // y and x double
    }
    x = g.convolution(x, layers.next(), outputs: 3)  // 0 to 1
    g.output("pixels", g.scale(x, by: 2, plus: -1))
    return g.build()
  }

  /// `pixels` `[batch, y * scale, x * scale, 3]`, -1 to 1, to `latents` `[batch, y, x,
  /// latentChannels]`.
  package func encoder(batch: Int, latentHeight: Int, latentWidth: Int) -> Graph {
    let c = configuration
    var layers = Layers(WeightScope()["encoder"]["layers"])
    let g = GraphBuilder("encoder")
    let pixels = g.input("pixels", [batch, latentHeight * scale, latentWidth * scale, 3])

    var x = g.scale(pixels, by: 0.5, plus: 0.5)
    for (stage, blocks) in c.encoderBlocks.enumerated() {
      x =
        stage == 0
        ? g.convolution(x, layers.next(), outputs: c.width)
        : g.convolution(
          x, layers.next(), outputs: c.width, hasBias: false, stride: 2)  // y and x halve
      for _ in 0..<blocks { x = block(g, x, layers.next()["conv"]) }
      g.tap("encoder.stages.\(stage)", x)
    }
    g.output("latents", g.convolution(x, layers.next(), outputs: c.latentChannels))
    return g.build()
  }

  /// Three convolutions around which `x` is led, of the shape of `x`.
  private func block(_ g: GraphBuilder, _ x: Value, _ weights: WeightScope) -> Value {
    var h = x
    // ReLUs are layers of their own: 1 and 3.
    for layer in [0, 2] { h = g.relu(g.convolution(h, weights[layer], outputs: x.shape.last)) }
    return g.relu(g.add(x, g.convolution(h, weights[4], outputs: x.shape.last)))
  }
}

/// The places of layers that are numbered one after another.
private struct Layers {
  private let scope: WeightScope
  private var index = 0

  init(_ scope: WeightScope) { self.scope = scope }

  mutating func next() -> WeightScope {
    defer { index += 1 }
    return scope[index]
  }

  /// A layer without weights.
  mutating func skip() { index += 1 }
}

extension TinyAutoencoder.Configuration {
  /// From the fields of an `AutoencoderTiny`'s `config.json`.
  /// - Throws: `ConfigurationError` for fields of which no network can be made, or one that is not
  ///   drawn here.
  package init(_ configuration: DiffusersConfiguration) throws(ConfigurationError) {
    let fields = DiffusersFields(component: "tiny autoencoder", configuration: configuration)
    try fields.expect("in_channels", .number(3))
    try fields.expect("out_channels", .number(3))
    try fields.expect("act_fn", .text("relu"))
    try fields.expect("upsample_fn", .text("nearest"))
    try fields.expect("upsampling_scaling_factor", .number(2))
    try fields.expect("scaling_factor", .number(1))
    try fields.expect("shift_factor", .number(0))
    let encoderBlocks = try fields.integers("num_encoder_blocks", in: 0...64)
    let decoderBlocks = try fields.integers("num_decoder_blocks", in: 0...64)
    let encoderWidths = try fields.integers(
      "encoder_block_out_channels", default: 64, count: encoderBlocks.count, in: 1...4096)
    let decoderWidths = try fields.integers(
      "decoder_block_out_channels", default: 64, count: decoderBlocks.count, in: 1...4096)
    let width = encoderWidths[0]
    try fields.check(
      (encoderWidths + decoderWidths).allSatisfy { $0 == width }, "encoder_block_out_channels",
      "all stages have the same number of channels")
    self.init(
      latentChannels: try fields.integer("latent_channels", default: 4, in: 1...4096),
      width: width, encoderBlocks: encoderBlocks, decoderBlocks: decoderBlocks)
  }

  fileprivate func validate() throws(ConfigurationError) {
    let name = "tiny autoencoder"
    try ConfigurationError.check(
      1...4096 ~= latentChannels && 1...4096 ~= width, name,
      "latentChannels is \(latentChannels) and width \(width): both are 1 to 4096")
    try ConfigurationError.check(
      encoderBlocks.count == decoderBlocks.count && 1...8 ~= encoderBlocks.count, name,
      "there are \(encoderBlocks.count) stages in the encoder and \(decoderBlocks.count) in the "
        + "decoder: there are as many in both, 1 to 8")
    try ConfigurationError.check(
      (encoderBlocks + decoderBlocks).allSatisfy { 0...64 ~= $0 }, name,
      "a stage has less than 0 or more than 64 blocks")
  }
}
