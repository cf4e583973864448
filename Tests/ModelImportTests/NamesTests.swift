import Models
import TensorTypes
import Testing

@testable import ModelImport

/// Names and shapes of single files, without weights, against diffusers' own conversion.
@Suite struct NamesTests {
  @Test(arguments: ["sd15", "sd21", "tiny-sd", "tiny-sd-gaps", "sdxs", "tiny"])
  func unet(_ name: String) throws {
    let record = Fixtures.names["unet"]![name]!
    let names = LDMUNet(record.allShapes)
    for (ours, origin) in record.made {
      #expect(names.name(ours) == origin.place.name, "\(ours)")
    }
    let found = try UNetConfiguration(DiffusersConfiguration(names.configuration))
    #expect(found == (try UNetConfiguration(record.config)))
  }

  @Test func inpaintingAndEmbeddedGuidanceAreSeen() throws {
    var shapes = Fixtures.names["unet"]!["sd15"]!.allShapes
    shapes["input_blocks.0.0.weight"] = [320, 9, 3, 3]
    shapes["time_embed.cond_proj.weight"] = [320, 256]
    let names = LDMUNet(shapes)
    #expect(names.configuration["in_channels"] == 9)
    #expect(names.configuration["time_cond_proj_dim"] == 256)
    #expect(names.name("time_embedding.cond_proj.weight") == "time_embed.cond_proj.weight")
  }

  @Test(arguments: ["kl", "tiny"]) func autoencoder(_ name: String) throws {
    let record = Fixtures.names["autoencoder"]![name]!
    let names = LDMAutoencoder(record.allShapes)
    for (ours, origin) in record.made {
      #expect(names.name(ours) == origin.place.name, "\(ours)")
    }
    let found = try AutoencoderConfiguration(DiffusersConfiguration(names.configuration))
    #expect(found == (try AutoencoderConfiguration(record.config)))
  }

  @Test(arguments: [("open-clip", LDMTextEncoder.Form.openCLIP), ("tiny", .clip)])
  func textEncoder(_ name: String, _ form: LDMTextEncoder.Form) throws {
    let record = Fixtures.names["textEncoder"]![name]!
    let names = LDMTextEncoder(form, record.allShapes)
    for (ours, origin) in record.made {
      #expect(names.places(ours)[0] == origin.place, "\(ours)")
    }
    let found = try CLIPTextConfiguration(DiffusersConfiguration(names.configuration))
    #expect(found == (try CLIPTextConfiguration(record.config)))
    // What is left over is the last layer, which is not read.
    let read = Set(record.made.values.map(\.place.name))
    for name in record.shapes.keys where !read.contains(name) {
      #expect(names.isUnread(name) || name == "text_projection", "\(name)")
    }
  }

  @Test func olderNamesOfTheAutoencodersAttentionAreKnown() {
    let places = DiffusersNames.places(.autoencoder)
    let name = "decoder.mid_block.attentions.0.to_out.0.weight"
    #expect(places(name).map(\.name).contains("decoder.mid_block.attentions.0.proj_attn.weight"))
  }
}
