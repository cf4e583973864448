import Foundation
import Graph
import TensorTypes
import Testing

@testable import Models

@Suite struct StableDiffusionTests {
  /// Stable Diffusion 1.5's unet/config.json and vae/config.json.
  static let unet = """
    {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 8,
     "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": false,
     "cross_attention_dim": 768, "down_block_types": ["CrossAttnDownBlock2D",
     "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], "downsample_padding": 1,
     "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
     "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4,
     "sample_size": 64, "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D",
     "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}
    """
  static let vae = """
    {"_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [128, 256, 512, 512],
     "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D",
     "DownEncoderBlock2D"], "in_channels": 3, "latent_channels": 4, "layers_per_block": 2,
     "norm_num_groups": 32, "out_channels": 3, "sample_size": 512, "up_block_types":
     ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}
    """

  /// A configuration with some fields as JSON, or without them where it is nil.
  private func configuration(
    _ json: String, _ changes: [String: String?] = [:]
  ) throws -> DiffusersConfiguration {
    let decoder = JSONDecoder()
    let base = try decoder.decode(
      [String: JSONTree].self, from: Data(json.utf8))
    let changed = try changes.mapValues { text in
      try text.map { try decoder.decode(JSONTree.self, from: Data($0.utf8)) }
    }
    return DiffusersConfiguration(
      base.merging(changed.compactMapValues { $0 }) { $1 }
        .filter { name, _ in changed[name].map { $0 != nil } ?? true })
  }

  private func denoiser(_ changes: [String: String?] = [:], side: Int = 8) throws -> Graph {
    try UNet(configuration: UNetConfiguration(configuration(Self.unet, changes)))
      .graph(batch: 2, tokens: 77, height: side, width: side)
  }

  private func parameters(_ graphs: Graph...) -> Int {
    Set(graphs.flatMap(\.weights)).reduce(0) { $0 + $1.shape.count }
  }

  @Test func stableDiffusionHasItsParameters() throws {
    let unet = UNet(configuration: try UNetConfiguration(configuration(Self.unet)))
    let network = unet.graph(batch: 2, tokens: 77, height: 64, width: 64)
    let context = unet.context(batch: 1, tokens: 77)
    #expect(parameters(network, context) == 859_520_964)
    #expect(network.outputs[0].value.shape == [2, 64, 64, 4])
    #expect(context.outputs.count == 2 * 16)
    // 401 billion multiplications a picture, less the text's keys and values.
    #expect((395...402).contains(network.operationCount / 4 / 1_000_000_000))

    let autoencoder = Autoencoder(
      configuration: try AutoencoderConfiguration(configuration(Self.vae)))
    let encoder = autoencoder.encoder(batch: 1, latentHeight: 64, latentWidth: 64)
    let decoder = autoencoder.decoder(batch: 1, latentHeight: 64, latentWidth: 64)
    #expect(parameters(encoder, decoder) == 83_653_863)
    #expect(decoder.outputs[0].value.shape == [1, 512, 512, 3])
    #expect(encoder.outputs[0].value.shape == [1, 64, 64, 4])
  }

  /// BK-SDM-tiny: fewer blocks, and none in the middle.
  @Test func prunedNetworksHaveTheirParameters() throws {
    let unet = UNet(
      configuration: try UNetConfiguration(
        configuration(
          Self.unet,
          [
            "block_out_channels": "[320, 640, 1280]", "layers_per_block": "1",
            "mid_block_type": "null",
            "down_block_types": """
            ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]
            """,
            "up_block_types": """
            ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
            """,
          ])))
    let network = unet.graph(batch: 1, tokens: 77, height: 64, width: 64)
    #expect(parameters(network, unet.context(batch: 1, tokens: 77)) == 323_384_964)
  }

  @Test func everyResidualIsFused() throws {
    let graph = try denoiser().fusingEpilogues()
    // What is left is the noise level, which is a row for all places.
    let loose = graph.nodes.filter { $0.op == .binary(.add) && $0.operands[1].shape.rank > 2 }
    #expect(loose.isEmpty, "\(graph.dump())")
    let activations = graph.nodes.filter {
      if case .activation = $0.op { true } else { false }
    }
    #expect(activations.isEmpty, "\(graph.dump())")
  }

  @Test func unetsThatCannotBeAreRefusedByField() throws {
    let changes: [(field: String, value: String?)] = [
      ("block_out_channels", "[320, 640, 1280]"), ("block_out_channels", "[]"),
      ("block_out_channels", "[320, 640, 1280, -1280]"), ("block_out_channels", nil),
      ("block_out_channels", "[320, 640, 1280, 1e300]"), ("block_out_channels", "\"320\""),
      ("block_out_channels", "[320, 640, 1280.5, 1280]"),
      ("down_block_types", "[\"DownBlock2D\"]"), ("down_block_types", "null"),
      ("down_block_types", "[\"AttnDownBlock2D\", 1, 2, 3]"), ("up_block_types", nil),
      ("mid_block_type", "\"UNetMidBlock2DSimpleCrossAttn\""), ("mid_block_type", "7"),
      ("layers_per_block", "[2, 2]"), ("layers_per_block", "0"), ("layers_per_block", "1000000"),
      ("layers_per_block", "true"), ("layers_per_block", "[2, 2, 2, [2]]"),
      ("attention_head_dim", "7"), ("attention_head_dim", "[5, 10, 20, 3]"),
      ("attention_head_dim", "0"), ("attention_head_dim", "{}"),
      ("transformer_layers_per_block", "[[1], 1, 1, 1]"), ("cross_attention_dim", "null"),
      ("norm_num_groups", "33"), ("norm_num_groups", "null"), ("norm_num_groups", "0"),
      ("norm_eps", "0"), ("norm_eps", "-1"), ("norm_eps", "\"small\""),
      ("in_channels", "3"), ("out_channels", "0"), ("time_cond_proj_dim", "17"),
      ("class_embed_type", "\"timestep\""), ("addition_embed_type", "\"text_time\""),
      ("only_cross_attention", "[true, true, true, false]"), ("act_fn", "\"gelu\""),
      ("resnet_time_scale_shift", "\"scale_shift\""), ("flip_sin_to_cos", "false"),
      ("freq_shift", "1"), ("conv_in_kernel", "1"), ("dual_cross_attention", "true"),
    ]
    for (field, value) in changes {
      let configuration = try configuration(Self.unet, [field: value])
      let comment = Comment(rawValue: "\(field) = \(value ?? "nothing")")
      let error = #expect(throws: ConfigurationError.self, comment) {
        try UNetConfiguration(configuration)
      }
      #expect(error?.component == "UNet", comment)
      #expect(error?.reason.contains(field) == true || field == "block_out_channels", comment)
    }
    #expect(throws: ConfigurationError.self) {
      try UNetConfiguration(
        configuration(
          Self.unet,
          [
            "block_out_channels": "[320]", "down_block_types": "[\"DownBlock2D\"]",
            "up_block_types": "[\"UpBlock2D\"]", "mid_block_type": "null",
          ]))
    }
  }

  @Test func errorsSayWhatIsWrong() throws {
    let configuration = try configuration(Self.unet, ["attention_head_dim": "[5, 10, 20, 3]"])
    let error = #expect(throws: ConfigurationError.self) { try UNetConfiguration(configuration) }
    #expect(
      error?.description
        == """
        the UNet's configuration is wrong: attention_head_dim is [5, 10, 20, 3]: 1280 of \
        block_out_channels do not split into 3 heads
        """)
  }

  @Test func autoencodersThatCannotBeAreRefusedByField() throws {
    let changes: [(field: String, value: String?)] = [
      ("block_out_channels", "[128, 256]"), ("block_out_channels", nil),
      ("down_block_types", "[\"AttnDownEncoderBlock2D\"]"), ("layers_per_block", "[2, 2, 2, 2]"),
      ("up_block_types", "[\"UpDecoderBlock2D\"]"), ("norm_num_groups", "48"),
      ("latent_channels", "0"), ("in_channels", "4"), ("out_channels", "\"3\""),
      ("scaling_factor", "0"), ("scaling_factor", "null"), ("shift_factor", "\"0\""),
      ("latents_mean", "[0, 0, 0, 0]"), ("use_quant_conv", "1"), ("act_fn", "\"relu\""),
    ]
    for (field, value) in changes {
      let configuration = try configuration(Self.vae, [field: value])
      let comment = Comment(rawValue: "\(field) = \(value ?? "nothing")")
      let error = #expect(throws: ConfigurationError.self, comment) {
        try AutoencoderConfiguration(configuration)
      }
      #expect(error?.reason.contains(field) == true, comment)
    }
  }

  /// Pictures are red, green and blue, whatever the two ends of an autoencoder agree on.
  @Test(arguments: ["1", "2", "4"]) func autoencodersOfOtherColoursAreRefused(
    channels: String
  ) throws {
    let both = try configuration(Self.vae, ["in_channels": channels, "out_channels": channels])
    let error = #expect(throws: ConfigurationError.self) { try AutoencoderConfiguration(both) }
    #expect(error?.reason.contains("only 3 can be drawn") == true)
  }

  /// Another family's facts beside its networks.
  private struct Misdescribed: ModelFamily {
    let family: StableDiffusion
    var facts: ModelFacts
    var networks: [NetworkDescription] { family.networks }
    func graph(of name: NetworkName, _ extents: Extents) -> Graph {
      family.graph(of: name, extents)
    }
  }

  @Test func networksHaveAsManyNumbersAsAreReadAndWritten() throws {
    let changes: [(change: (inout ModelFacts) -> Void, network: String)] = [
      ({ $0.pixels = .premultipliedRGBA(clear: 0, opaque: 1) }, "decoder"),
      ({ $0.latents.channels = 5 }, "denoiser"), ({ $0.latents.scale = 4 }, "decoder"),
    ]
    for (change, network) in changes {
      var family = Misdescribed(family: try family(), facts: try self.family().facts)
      try family.checkNetworks()
      change(&family.facts)
      let error = #expect(throws: ConfigurationError.self) { try family.checkNetworks() }
      #expect(error?.component == network)
    }
  }

  /// Noise that leaves nothing of a picture long before its last step has no times of its own.
  @Test(arguments: [
    #"{"beta_start": 0.5, "beta_end": 0.9999}"#, #"{"beta_end": 0.2}"#,
    #"{"beta_end": 0.2, "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"}"#,
  ]) func noiseWithoutEndIsRefused(scheduler: String) throws {
    let family = try family(scheduler: scheduler)
    let error = #expect(throws: ConfigurationError.self) { try family.facts.validate() }
    #expect(error?.reason.contains("leave nothing of a picture") == true)
  }

  @Test func otherFieldsAndDefaultsAreRead() throws {
    let plain = try UNetConfiguration(configuration(Self.unet))
    let said: [String: String?] = [
      "layers_per_block": "[2, 2, 2, 2]", "attention_head_dim": "[8, 8, 8, 8]",
      "norm_eps": nil, "norm_num_groups": nil, "in_channels": nil, "only_cross_attention": "false",
      "mid_block_type": "\"UNetMidBlock2DCrossAttn\"", "something_new": "{\"a\": [1, null]}",
      "time_cond_proj_dim": "null",
    ]
    #expect(try UNetConfiguration(configuration(Self.unet, said)) == plain)
    let inpainting = try denoiser(["in_channels": "9"])
    #expect(inpainting.inputs.first { $0.name == "source" }?.value.shape == [2, 8, 8, 5])
    #expect(try AutoencoderConfiguration(configuration(Self.vae)).scalingFactor == 0.18215)
  }

  /// The text encoders of Stable Diffusion 1 and 2.
  static let textEncoders = [
    """
    {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
     "num_hidden_layers": 12, "hidden_act": "quick_gelu", "vocab_size": 49408,
     "max_position_embeddings": 77, "layer_norm_eps": 1e-05}
    """: 123_060_480,
    """
    {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
     "num_hidden_layers": 23, "hidden_act": "gelu"}
    """: 340_387_840,
  ]

  @Test(arguments: textEncoders) func textEncodersHaveTheirParameters(
    json: String, expected: Int
  ) throws {
    let text = CLIPTextEncoder(
      configuration: try CLIPTextConfiguration(configuration(json)))
    let graph = text.graph(batch: 1, tokens: 77)
    #expect(parameters(graph) == expected)
    #expect(graph.outputs[0].value.shape == [1, 77, text.configuration.width])
  }

  @Test(arguments: [
    ("num_attention_heads", "5"), ("num_attention_heads", "0"), ("hidden_size", "1e300"),
    ("num_hidden_layers", "257"), ("max_position_embeddings", "-1"), ("hidden_act", "\"relu\""),
    ("layer_norm_eps", "-1"), ("vocab_size", "\"many\""),
  ]) func textEncodersOfNoNetworkAreRefused(field: String, value: String) throws {
    let wrong = try configuration(Self.textEncoders.keys.sorted()[0], [field: value])
    let error = #expect(throws: ConfigurationError.self) { try CLIPTextConfiguration(wrong) }
    #expect(error?.reason.hasPrefix(field) == true)
  }

  /// Stable Diffusion 1.5, with changed fields of its parts.
  private func family(
    unet: [String: String?] = [:], vae: [String: String?] = [:], scheduler: String = "{}"
  ) throws -> StableDiffusion {
    let text = try #require(Self.textEncoders.keys.first { $0.contains("quick_gelu") })
    return try StableDiffusion(
      StableDiffusionConfiguration(
        unet: configuration(Self.unet, unet), textEncoder: configuration(text),
        autoencoder: configuration(Self.vae, vae), scheduler: configuration(scheduler),
        tokenizer: .init(padding: 49_407),
        sampling: .init(
          sampler: .dpmSolver, spacing: .karras, steps: 20, guidance: 7.5,
          isGuidanceFixed: false)))
  }

  @Test func itIsAFamily() throws {
    let family = try family()
    try family.facts.validate()
    try family.checkNetworks()
    let facts = family.facts
    #expect(facts.nativeSize == PictureSize(width: 512, height: 512))
    #expect(facts.sizes.count == 13 * 13)
    #expect(facts.offered(PictureSize(width: 1024, height: 256)) != nil)
    #expect(facts.latents.standardDeviation == Array(repeating: 1 / 0.18215, count: 4))
    #expect(facts.sampling.hasNegativePrompt(guidance: nil))
  }

  @Test func guidanceThatIsEmbeddedHasNoNegativePrompt() throws {
    let family = try family(unet: ["time_cond_proj_dim": "256"])
    try family.checkNetworks()
    #expect(family.facts.sampling.guidanceForm == .embedded)
    #expect(!family.facts.sampling.hasNegativePrompt(guidance: 8))
  }

  @Test func aDenoiserForInpaintingReadsTheSource() throws {
    let family = try family(unet: ["in_channels": "9"])
    try family.checkNetworks()
    #expect(family.facts.readsSource)
    #expect(try !self.family().facts.readsSource)
  }

  @Test func whatWasPredictedIsTheSchedulers() throws {
    let family = try family(
      scheduler: #"{"prediction_type": "v_prediction", "rescale_betas_zero_snr": true}"#)
    #expect(family.facts.prediction == .rotation)
    #expect(throws: ConfigurationError.self) {
      try self.family(scheduler: #"{"prediction_type": "edm"}"#)
    }
  }

  @Test func partsThatDoNotFitAreRefused() {
    #expect(throws: ConfigurationError.self) { try family(unet: ["cross_attention_dim": "1024"]) }
    #expect(throws: ConfigurationError.self) { try family(unet: ["in_channels": "8"]) }
    #expect(throws: ConfigurationError.self) { try family(vae: ["latent_channels": "16"]) }
    #expect(throws: ConfigurationError.self) { try family(unet: ["sample_size": "65"]) }
  }
}
