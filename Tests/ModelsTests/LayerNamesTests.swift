import Foundation
import Graph
import Testing

@testable import Models

/// Names of Stable Diffusion's layers in files that latent-diffusion's code wrote.
@Suite struct LayerNamesTests {
  private func layers() throws -> [String] {
    let fields = try JSONDecoder().decode(
      DiffusersConfiguration.self, from: Data(StableDiffusionTests.unet.utf8))
    let unet = UNet(configuration: try UNetConfiguration(fields))
    let graphs = [
      unet.context(batch: 1, tokens: 1), unet.graph(batch: 1, tokens: 1, height: 8, width: 8),
    ]
    return Set(graphs.flatMap(\.weights).map(\.name))
      .filter { $0.hasSuffix(".weight") && !$0.contains("norm") }
      .map { String($0.dropLast(".weight".count)) }
  }

  /// From `openaimodel.py` with SD 1.5's v1-inference.yaml.
  @Test(arguments: [
    ("input_blocks.0.0", "conv_in"),
    ("input_blocks.1.0.in_layers.2", "down_blocks.0.resnets.0.conv1"),
    (
      "input_blocks.2.1.transformer_blocks.0.attn2.to_k",
      "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k"
    ),
    ("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv"),
    ("input_blocks.4.0.skip_connection", "down_blocks.1.resnets.0.conv_shortcut"),
    ("input_blocks.4.1.proj_in", "down_blocks.1.attentions.0.proj_in"),
    ("input_blocks.9.0.op", "down_blocks.2.downsamplers.0.conv"),
    ("input_blocks.11.0.out_layers.3", "down_blocks.3.resnets.1.conv2"),
    ("middle_block.0.emb_layers.1", "mid_block.resnets.0.time_emb_proj"),
    (
      "middle_block.1.transformer_blocks.0.ff.net.0.proj",
      "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"
    ),
    ("middle_block.2.in_layers.2", "mid_block.resnets.1.conv1"),
    ("output_blocks.2.1.conv", "up_blocks.0.upsamplers.0.conv"),
    (
      "output_blocks.3.1.transformer_blocks.0.attn1.to_out.0",
      "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0"
    ),
    ("output_blocks.5.2.conv", "up_blocks.1.upsamplers.0.conv"),
    ("output_blocks.11.0.skip_connection", "up_blocks.3.resnets.2.conv_shortcut"),
    ("time_embed.0", "time_embedding.linear_1"), ("out.2", "conv_out"),
  ])
  func everyBlockHasItsOtherName(_ test: (other: String, layer: String)) throws {
    let layers = try layers()
    #expect(layers.contains(test.layer))
    #expect(LayerNames.others(for: layers)[test.other] == test.layer)
  }

  /// One other name each, as many as layers, and none without its dots that is another's.
  @Test func everyLayerHasOneOtherName() throws {
    let layers = try layers()
    let others = LayerNames.others(for: layers)
    #expect(Set(others.values) == Set(layers) && others.count == layers.count)
    let flat = (layers + others.keys).map { $0.replacing(".", with: "_") }
    #expect(Set(flat).count == flat.count)
  }

  @Test func textEncodersNeedNotSayThatTheyAreModels() {
    let layer = "text_model.encoder.layers.0.self_attn.q_proj"
    #expect(
      LayerNames.others(for: [layer]) == ["encoder.layers.0.self_attn.q_proj": layer])
  }
}
