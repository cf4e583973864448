import TensorTypes
import Testing

@testable import Weights

/// The names that writers of LoRAs give, and what is said of forms that are not applied.
@Suite struct PeelNameTests {
  @Test(arguments: [
    ("base_model.model.denoiser.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("base_model.model.layers.0.qkv.lora_A.default", "lora_B.default", "layers.0.qkv"),
    ("transformer.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("transformer.layers.0.qkv.lora_A.default_0", "lora_B.default_0", "layers.0.qkv"),
    ("transformer.layers.0.qkv.lora_A.my_style", "lora_B.my_style", "layers.0.qkv"),
    ("transformer.base_model.model.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("transformer._orig_mod.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("_orig_mod.module.unet.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("module.layers.0._orig_mod.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("model.diffusion_model.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("unet.layers.0.qkv.lora.down", "lora.up", "layers.0.qkv"),
    ("unet.layers.0.qkv.lora_linear_layer.down", "lora_linear_layer.up", "layers.0.qkv"),
    ("unet.mid.attn1.processor.to_q_lora.down", "processor.to_q_lora.up", "mid.attn1.to_q"),
    ("unet.attn1.processor.to_out_lora.down", "processor.to_out_lora.up", "attn1.to_out.0"),
    ("transformer.transformer_blocks.0.up.lora_A", "lora_B", "transformer_blocks.0.up"),
    ("diffusion_model.text_kv.lora_down", "lora_up", "text_kv"),
    ("lora_unet_layers_0_qkv.lora_down", "lora_up", "layers_0_qkv"),
    ("lora_unet__orig_mod_layers_0_qkv.lora_down", "lora_up", "layers_0_qkv"),
    ("lora_transformer_input.lora_down", "lora_up", "input"),
    ("lora_transformer_transformer_blocks_0.lora_down", "lora_up", "transformer_blocks_0"),
    ("lycoris_layers_0_qkv.lora_down", "lora_up", "layers_0_qkv"),
  ])
  func everyKeyStyleIsRead(_ test: (down: String, up: String, target: String)) throws {
    let marker = test.up.split(separator: ".")[0]
    let stem = test.down.prefix(
      upTo: try #require(
        test.down.firstRange(of: marker == "processor" ? ".processor" : ".lora")
      ).lowerBound)
    let peel = try PeelFixture.read(
      PeelFixture.pair("\(test.down).weight", "\(stem).\(test.up).weight"))
    #expect(peel.updates.map(\.target) == [test.target])
    #expect(peel.updates.map(\.network) == [.denoiser])
    let update = peel.updates[0]
    #expect(update.rank == 2 && update.inWidth == 4 && update.outWidth == 3)
    #expect(update.down == PeelFixture.down && update.up == PeelFixture.up)
  }

  @Test(arguments: [
    ("lora_te_text_model_encoder_layers_0_mlp_fc1", "text_model_encoder_layers_0_mlp_fc1", 1),
    ("lora_te2_text_model_x", "text_model_x", 2),
    ("text_encoder.layers.0.q_proj", "layers.0.q_proj", 1),
    ("base_model.model.text_encoder_2.layers.0", "layers.0", 2),
  ])
  func textEncodersAreToldApart(_ test: (stem: String, target: String, number: Int)) throws {
    let peel = try PeelFixture.read(
      PeelFixture.peft()
        + PeelFixture.pair("\(test.stem).lora_down.weight", "\(test.stem).lora_up.weight"))
    let update = try #require(peel.updates.last)
    #expect(update.network == .textEncoder(test.number) && update.target == test.target)
    #expect(peel.updates[0].network == .denoiser)
  }

  @Test func oneByOneConvolutionsAreLinears() throws {
    let stem = "lora_unet_layers_0_qkv"
    let peel = try PeelFixture.read([
      PeelFixture.tensor("\(stem).lora_down.weight", [2, 4, 1, 1], PeelFixture.down),
      PeelFixture.tensor("\(stem).lora_up.weight", [3, 2, 1, 1], PeelFixture.up),
    ])
    #expect(peel.updates[0].inWidth == 4 && peel.updates[0].up == PeelFixture.up)
  }

  /// Forms that are something else than damage.
  @Test(arguments: [
    ("x.lora_B.bias", "LoRA with biases"), ("x.lora_B.default.bias", "LoRA with biases"),
    ("x.oft_blocks", "OFT"), ("x.boft_blocks", "OFT"), ("x.oft_diag", "OFT"),
    ("x.ia3_l.weight", "(IA)³"), ("x.diff", "whole differences"), ("x.w_norm", "differences"),
    ("x.vera_lambda_b", "VeRA"), ("x.a1.weight", "GLoRA"), ("x.lora_embedding_A", "embeddings"),
    ("emb_params", "textual inversion"),
    ("base_model.model.modules_to_save.x.weight", "whole layers"),
  ])
  func otherFormsAreNamed(_ test: (name: String, form: String)) {
    let tensor = PeelFixture.tensor(test.name, [1], [0])
    #expect {
      try PeelFixture.read(PeelFixture.peft() + [tensor])
    } throws: { error in
      let text = "\(error)"
      return text.contains(test.form) && text.contains("is not supported by this model")
        && text.contains("export a plain LoRA") && !text.contains("damaged")
    }
  }

  @Test func otherTypesAndKernelsAreNamed() throws {
    let stem = "denoiser.layers.0.qkv"
    let kernel = [
      PeelFixture.tensor("\(stem).lora_A.weight", [2, 4, 3], Array(repeating: 1, count: 24)),
      PeelFixture.tensor("\(stem).lora_B.weight", [3, 2, 1, 1], PeelFixture.up),
    ]
    #expect {
      try PeelFixture.read(kernel)
    } throws: { "\($0)".contains("convolutions of one or three") }
    // Types of newer versions of the format, which may have less than a byte a number.
    for type in ["F4", "F6_E2M3", "F8_E8M0", "C64"] {
      let header =
        #"{"\#(stem).lora_A.weight":{"dtype":"\#(type)","shape":[2,4],"data_offsets":[0,4]}}"#
      let file = littleEndianBytes([UInt64(header.utf8.count)]) + Array(header.utf8) + [0, 0, 0, 0]
      #expect {
        try PeelFile(contents: file, path: "p")
      } throws: { error in
        let text = "\(error)"
        return text.contains(type) && text.contains("not supported") && !text.contains("damaged")
      }
    }
    for type in [SafetensorsType.float8e4m3, .int8] {
      let tensors = [("A", [2, 4]), ("B", [3, 2])].map { part, shape in
        SafetensorsWriter.Tensor(
          name: "\(stem).lora_\(part).weight", type: type, shape: shape,
          bytes: [UInt8](repeating: 1, count: shape.reduce(1, *)))
      }
      #expect {
        try PeelFixture.read(tensors)
      } throws: { "\($0)".contains(type.rawValue) && !"\($0)".contains("damaged") }
    }
  }
}
