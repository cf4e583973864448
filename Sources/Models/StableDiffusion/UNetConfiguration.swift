/// The extents of diffusers' `UNet2DConditionModel`, from the fields of its `config.json`.
package struct UNetConfiguration: Hashable, Sendable {
  /// The blocks of one resolution.
  struct Level: Hashable, Sendable {
    var channels: Int
    /// Residual blocks, each followed by a transformer if there is attention.
    var layers: Int
    /// Nil where no block attends.
    var attention: Attention?
  }

  struct Attention: Hashable, Sendable {
    var heads: Int
    /// Transformer blocks behind each residual block.
    var layers: Int
  }

  enum Middle: Hashable, Sendable {
    case none
    case residual
    case attention(Attention)
  }

  var inChannels: Int
  var outChannels: Int
  /// From the finest to the coarsest.
  var down: [Level]
  var middle: Middle
  /// From the coarsest to the finest.
  var up: [Level]
  /// Channels of the text's hidden states.
  var textWidth: Int
  var groups: Int
  var normEpsilon: Float
  /// Channels of the embedded noise level.
  var timeWidth: Int
  /// Channels of the embedded guidance scale of a latent consistency model; nil for all others.
  var guidanceChannels: Int?

  /// The resolution is halved so many times: latents have a multiple of it on each side.
  var scale: Int { 1 << (down.count - 1) }
}

extension UNetConfiguration {
  private enum DownBlock: String, CaseIterable {
    case attention = "CrossAttnDownBlock2D"
    case residual = "DownBlock2D"
  }

  private enum UpBlock: String, CaseIterable {
    case attention = "CrossAttnUpBlock2D"
    case residual = "UpBlock2D"
  }

  private enum MiddleBlock: String, CaseIterable {
    case attention = "UNetMidBlock2DCrossAttn"
    case residual = "UNetMidBlock2D"
  }

  /// - Throws: `ConfigurationError` for fields of which no network can be made, or one that is not
  ///   drawn here, such as the class embeddings of an upscaler.
  package init(_ configuration: DiffusersConfiguration) throws(ConfigurationError) {
    let fields = DiffusersFields(component: "UNet", configuration: configuration)
    try Self.checkFixed(fields)
    let widths = try fields.integers("block_out_channels", in: 1...16_384)
    let layers = try fields.integers(
      "layers_per_block", default: 2, count: widths.count, in: 1...16)
    // It counts heads, whatever its name says: diffusers keeps the name for the files' sake.
    let heads = try fields.integers(
      "attention_head_dim", default: 8, count: widths.count, in: 1...1024)
    let transformers = try fields.integers(
      "transformer_layers_per_block", default: 1, count: widths.count, in: 1...32)
    let downBlocks: [DownBlock] = try fields.blocks("down_block_types", count: widths.count)
    let upBlocks: [UpBlock] = try fields.blocks("up_block_types", count: widths.count)

    let attention = zip(heads, transformers).map { Attention(heads: $0, layers: $1) }
    down = widths.indices.map { level in
      Level(
        channels: widths[level], layers: layers[level],
        attention: downBlocks[level] == .attention ? attention[level] : nil)
    }
    up = widths.indices.reversed().map { level in
      Level(
        channels: widths[level], layers: layers[level] + 1,
        attention: upBlocks[widths.count - 1 - level] == .attention ? attention[level] : nil)
    }
    middle = try Self.middle(fields, attention[widths.count - 1])
    inChannels = try fields.integer("in_channels", default: 4, in: 1...1024)
    outChannels = try fields.integer("out_channels", default: 4, in: 1...1024)
    textWidth = try fields.integer("cross_attention_dim", default: 1280, in: 1...65_536)
    groups = try fields.integer("norm_num_groups", default: 32, in: 1...16_384)
    normEpsilon = try fields.number("norm_eps", default: 1e-5)
    timeWidth =
      try fields.optionalInteger("time_embedding_dim", in: 1...65_536) ?? 4 * widths[0]
    guidanceChannels = try fields.optionalInteger("time_cond_proj_dim", in: 4...4096)
    try validate(fields)
  }

  private static func middle(
    _ fields: DiffusersFields, _ attention: Attention
  ) throws(ConfigurationError) -> Middle {
    let field = fields.configuration["mid_block_type"] ?? .text(MiddleBlock.attention.rawValue)
    if field == .null { return .none }
    let block: MiddleBlock = try fields.block(field, "mid_block_type")
    return block == .attention ? .attention(attention) : .residual
  }

  private func validate(_ fields: DiffusersFields) throws(ConfigurationError) {
    for level in down {
      try fields.check(
        level.channels % groups == 0, "norm_num_groups",
        "\(level.channels) of block_out_channels do not split into \(groups) groups")
    }
    var attending = (down + up).compactMap { level in
      level.attention.map { (level.channels, $0) }
    }
    if case .attention(let attention) = middle { attending.append((up[0].channels, attention)) }
    for (channels, attention) in attending {
      try fields.check(
        channels % attention.heads == 0, "attention_head_dim",
        "\(channels) of block_out_channels do not split into \(attention.heads) heads")
    }
    try fields.check(
      !attending.isEmpty, "down_block_types", "no block of the network attends to the text")
    try fields.check(
      inChannels >= outChannels, "in_channels",
      "it reads fewer channels than the \(outChannels) that it gives")
    try fields.check(down[0].channels > 1, "block_out_channels", "a time has 2 channels or more")
    try fields.check(
      guidanceChannels.map { $0 % 2 == 0 } ?? true, "time_cond_proj_dim", "it is odd")
  }

  /// What other models of diffusers' class have and these do not.
  private static func checkFixed(_ fields: DiffusersFields) throws(ConfigurationError) {
    for name in [
      "class_embed_type", "addition_embed_type", "encoder_hid_dim", "encoder_hid_dim_type",
      "num_attention_heads", "num_class_embeds", "time_embedding_act_fn", "timestep_post_act",
      "reverse_transformer_layers_per_block", "cross_attention_norm",
    ] { try fields.expect(name, .null) }
    for name in [
      "center_input_sample", "only_cross_attention", "dual_cross_attention",
      "resnet_skip_time_act", "class_embeddings_concat",
    ] { try fields.expect(name, .flag(false)) }
    for name in ["downsample_padding", "mid_block_scale_factor", "resnet_out_scale_factor"] {
      try fields.expect(name, .number(1))
    }
    try fields.expect("mid_block_only_cross_attention", .null, .flag(false))
    try fields.expect("flip_sin_to_cos", .flag(true))
    try fields.expect("freq_shift", .number(0))
    try fields.expect("conv_in_kernel", .number(3))
    try fields.expect("conv_out_kernel", .number(3))
    try fields.expect("act_fn", .text("silu"), .text("swish"))
    try fields.expect("resnet_time_scale_shift", .text("default"))
    try fields.expect("time_embedding_type", .text("positional"))
    try fields.expect("attention_type", .text("default"))
  }
}
