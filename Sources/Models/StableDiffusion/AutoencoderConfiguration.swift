/// The extents of diffusers' `AutoencoderKL`, from the fields of its `config.json`.
package struct AutoencoderConfiguration: Hashable, Sendable {
  package var latentChannels: Int
  /// From the finest resolution to the coarsest.
  var widths: [Int]
  /// Residual blocks of each resolution on the way to latents; one more on the way back.
  var layers: Int
  var groups: Int
  /// Whether the places of the coarsest resolution attend to each other.
  var hasAttention: Bool
  /// Whether there is a product behind the encoder, and one before the decoder.
  var hasQuantization: Bool
  var hasPostQuantization: Bool
  /// What latents are multiplied by for the denoiser, when this is subtracted from them.
  package var scalingFactor: Float
  package var shiftFactor: Float

  /// Pixels on a side that one latent covers.
  package var scale: Int { 1 << (widths.count - 1) }
}

extension AutoencoderConfiguration {
  /// - Throws: `ConfigurationError` for fields of which no network can be made, or one that is not
  ///   drawn here.
  package init(_ configuration: DiffusersConfiguration) throws(ConfigurationError) {
    let fields = DiffusersFields(component: "autoencoder", configuration: configuration)
    try fields.expect("down_block_types", .text("DownEncoderBlock2D"))
    try fields.expect("up_block_types", .text("UpDecoderBlock2D"))
    try fields.expect("act_fn", .text("silu"), .text("swish"))
    try fields.expect("in_channels", .number(3))
    try fields.expect("out_channels", .number(3))
    try fields.expect("latents_mean", .null)
    try fields.expect("latents_std", .null)
    widths = try fields.integers("block_out_channels", in: 1...16_384)
    layers = try fields.integer("layers_per_block", default: 1, in: 1...16)
    groups = try fields.integer("norm_num_groups", default: 32, in: 1...16_384)
    latentChannels = try fields.integer("latent_channels", default: 4, in: 1...1024)
    hasAttention = try fields.flag("mid_block_add_attention", default: true)
    hasQuantization = try fields.flag("use_quant_conv", default: true)
    hasPostQuantization = try fields.flag("use_post_quant_conv", default: true)
    scalingFactor = try fields.number("scaling_factor", default: 0.18215)
    shiftFactor = try fields.shift("shift_factor")

    for name in ["down_block_types", "up_block_types"] {
      if case .list(let blocks) = configuration[name] {
        try fields.check(
          blocks.count == widths.count, name,
          "it has \(blocks.count) blocks, block_out_channels \(widths.count)")
      }
    }
    for width in widths {
      try fields.check(
        width % groups == 0, "norm_num_groups",
        "\(width) of block_out_channels do not split into \(groups) groups")
    }
  }
}
