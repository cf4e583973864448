import Graph
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// What is said of peels that were made for another model, or for more than this one has.
@Suite struct PeelSitesTests {
  private static let block = "down_blocks.0.attentions.0.transformer_blocks.0"
  private static let layer = "text_model.encoder.layers.1.self_attn.q_proj"

  /// A model of an attention to a text of so many channels, a convolution and a text encoder.
  private func sites(
    textWidth: Int = 768, name: String = "dreams", embeddingWidths: [Int: Int] = [:]
  ) -> PeelSites {
    let g = GraphBuilder("denoiser")
    let text = g.input("text", [1, 2, textWidth])
    let weight = WeightReference("\(Self.block).attn2.to_k.weight", [8, textWidth])
    g.output("keys", g.linear(text, weight))
    let picture = g.input("x", [1, 4, 4, 8])
    g.output("y", g.convolution(picture, WeightReference("conv_in.weight", [8, 3, 3, 8])))
    let t = GraphBuilder("text")
    let tokens = t.input("tokens", [1, 2, 8])
    t.output("y", t.linear(tokens, WeightReference("\(Self.layer).weight", [8, 8])))
    return PeelSites(
      in: [
        .init(network: .denoiser, weights: "unet", graph: g.build()),
        .init(network: .textEncoder(1), weights: "textEncoder", graph: t.build()),
      ], model: name, baseSHA256: nil, stores: [:], embeddingWidths: embeddingWidths)
  }

  private func peel(_ layers: [(stem: String, down: [Int], up: [Int])], value: Float = 1) throws
    -> PeelFile
  {
    let tensors = layers.flatMap { layer in
      [("lora_down", layer.down), ("lora_up", layer.up)].map { part, shape in
        let numbers = Array(repeating: value, count: shape.reduce(1, *))
        return SafetensorsWriter.Tensor(
          name: "\(layer.stem).\(part).weight", type: .float32, shape: shape,
          bytes: numbers.withUnsafeBytes { Array($0) })
      }
    }
    return try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel")
  }

  private func reason(_ peel: PeelFile, _ sites: PeelSites) -> String {
    do throws(PeelError) {
      try OpenPeel(peel).check(for: sites)
      return ""
    } catch { return error.description }
  }

  private func key(_ name: String) -> String { String(name.map { $0 == "." ? "_" : $0 }) }

  private var attention: (stem: String, down: [Int], up: [Int]) {
    ("lora_unet_\(key(Self.block))_attn2_to_k", [2, 768], [8, 2])
  }

  @Test(arguments: [
    "lora_te_text_model_encoder_layers_1_self_attn_q_proj",
    "lora_te1_encoder_layers_1_self_attn_q_proj",
    "text_encoder.text_model.encoder.layers.1.self_attn.q_proj",
    "base_model.model.text_model.encoder.layers.1.self_attn.q_proj",
    "text_encoder.encoder.layers.1.self_attn.q_proj",
  ])
  func textEncodersAreChangedToo(stem: String) throws {
    let sites = sites()
    let file = try peel([attention, (stem, [2, 8], [8, 2])])
    #expect(reason(file, sites) == "")
    let mix = try #require(try PeelMix([PeelUse(file: file, strength: 1)], for: sites))
    #expect(Set(mix.layout.sites.keys.map(\.weights)) == ["unet", "textEncoder"])
    let site = PeelSite(
      weights: "textEncoder", weight: WeightReference("\(Self.layer).weight", [8, 8]))
    #expect(mix.layout.sites[site] == PeelAttachment(rank: 8))
    #expect(mix.layout.restricted(to: [site.weight], of: "unet") == nil)
  }

  @Test func aPeelOfAnotherKindOfModelIsToldSo() throws {
    let wide = ("lora_unet_\(key(Self.block))_attn2_to_k", [2, 2048], [8, 2])
    #expect(
      reason(try peel([wide]), sites())
        == "The peel was made for SDXL, and dreams is SD 1.5: get the peel that was made for "
        + "SD 1.5."
    )
    let other = ("lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_v", [2, 2048], [8, 2])
    #expect(reason(try peel([other]), sites()).contains("made for SDXL, and dreams is SD 1.5"))
    let narrow = ("unet.\(Self.block).attn2.to_k", [2, 768], [8, 2])
    #expect(
      reason(try peel([narrow]), sites(textWidth: 1024)).contains(
        "made for SD 1.5, and dreams is SD 2"))
    let second = ("lora_te2_text_model_encoder_layers_0_mlp_fc1", [2, 8], [8, 2])
    #expect(reason(try peel([attention, second]), sites()).contains("made for SDXL"))
    let flux = ("transformer.single_transformer_blocks.0.attn.to_q", [2, 8], [8, 2])
    #expect(reason(try peel([flux]), sites()).contains("made for FLUX"))
    let three = ("lora_unet_joint_blocks_0_x_block_attn_qkv", [2, 8], [8, 2])
    #expect(
      reason(try peel([three]), sites(textWidth: 5)).contains(
        "made for SD 3, and dreams is another"))
  }

  /// Embeddings are of a kind of model too, by their widths.
  @Test func anEmbeddingOfAnotherKindOfModelIsToldSo() throws {
    func reason(_ widths: [String: Int], of textWidth: Int, _ own: [Int: Int]) throws -> String {
      let tensors = widths.map { name, width in
        SafetensorsWriter.Tensor(
          name: name, type: .float32, shape: [1, width],
          bytes: [UInt8](repeating: 0, count: 4 * width))
      }
      let file = try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel")
      return self.reason(file, sites(textWidth: textWidth, embeddingWidths: own))
    }
    #expect(try reason(["emb_params": 768], of: 768, [1: 768]) == "")
    #expect(try reason(["clip_l": 768, "clip_g": 1280], of: 2048, [1: 768, 2: 1280]) == "")
    #expect(
      try reason(["clip_l": 768, "clip_g": 1280], of: 768, [1: 768])
        .contains("made for SDXL, and dreams is SD 1.5"))
    #expect(
      try reason(["<cat>": 1024], of: 768, [1: 768])
        .contains("made for SD 2, and dreams is SD 1.5"))
    #expect(
      try reason(["emb_params": 768], of: 1024, [1: 1024])
        .contains("made for SD 1.5, and dreams is SD 2"))
    #expect(
      try reason(["emb_params": 24], of: 768, [1: 768])
        .contains("have 24 numbers, and those of dreams 768"))
    #expect(
      try reason(["emb_params": 768], of: 768, [:]).contains("text encoder of dreams reads none"))
  }

  @Test func layersThatAreNotThereAreCountedAndTheFirstNamed() throws {
    let strangers = (1...5).map { ("unet.blocks.\($0).to_q", [1, 8], [8, 1]) }
    let reason = reason(try peel([attention] + strangers), sites())
    #expect(reason.contains("5 of its 6 layers") && reason.contains("\"blocks.3.to_q\""))
    #expect(!reason.contains("blocks.4"))
  }

  /// What changes nothing, and what is behind the last layer of a text encoder, is left out.
  @Test func whatCannotMatterIsLeftOutAndTold() throws {
    let last = ("lora_te_text_model_encoder_layers_2_mlp_fc1", [1, 8], [8, 1])
    let (sites, open) = (sites(), try OpenPeel(peel([attention, last])))
    try open.check(for: sites)
    let told = open.omissions
    #expect(open.layerCount(of: "dreams") == 1)
    #expect(
      told.count == 1 && told[0].contains("1 of its 2 layers") && told[0].contains("layers_2"))
    let inside = ("lora_te_text_model_encoder_layers_0_mlp_fc1", [1, 8], [8, 1])
    #expect(reason(try peel([attention, inside]), sites).contains("layers_0_mlp"))
    let zeros = try peel([("unet.nowhere", [1, 8], [8, 1])], value: 0)
    #expect(reason(zeros, sites).contains("nowhere"))
  }

  @Test func kernelsMustBeThoseOfTheModel() throws {
    func check(_ down: [Int], _ up: [Int]) throws -> String {
      reason(try peel([("lora_unet_input_blocks_0_0", down, up)]), sites())
    }
    #expect(try check([2, 8, 3, 3], [8, 2, 1, 1]) == "")
    #expect(try check([2, 72], [8, 2]) == "")
    #expect(try check([2, 8, 1, 1], [8, 2, 1, 1]).contains("[8, 8, 3, 3]"))
    #expect(try check([2, 24, 1, 3], [8, 2]).contains("[8, 24, 1, 3]"))
    let linear = ("lora_unet_\(key(Self.block))_attn2_to_k", [2, 256, 1, 3], [8, 2, 1, 1])
    #expect(reason(try peel([linear]), sites()).contains("[8, 768]"))
    let point = ("lora_unet_\(key(Self.block))_attn2_to_k", [2, 768, 1, 1], [8, 2, 1, 1])
    #expect(reason(try peel([point]), sites()) == "")
  }
}
