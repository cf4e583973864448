import BananaTesting
import Foundation
import TensorTypes
import Testing
import Weights

@testable import ModelImport

/// Files that are not what they seem: each is refused in words, and nothing is left.
@Suite struct HostileTests {
  /// Imports a damaged copy of the tiny folder.
  private func expectRefused(
    _ words: String..., damage: (_ folder: String) throws -> Void
  ) throws {
    let folder = try TemporaryFolder()
    let copy = try folder.tinyCopy()
    try damage(copy)
    expectRefused(words, copy, folder)
  }

  /// Imports a changed single file.
  private func expectFileRefused(
    _ words: String..., change: (inout SingleFileDraft) -> Void
  ) throws {
    let folder = try TemporaryFolder()
    var draft = try SingleFileDraft.tiny()
    change(&draft)
    let path = folder.path + "/file.safetensors"
    try draft.write(to: path)
    expectRefused(words, path, folder)
  }

  private func expectRefused(_ words: [String], _ path: String, _ folder: TemporaryFolder) {
    do {
      let result = try ModelImporter.importing(path, to: folder.path + "/models")
      Issue.record("\(result.name) was imported")
    } catch {
      let text = "\(error)"
      for word in words { #expect(text.contains(word), "\(text)") }
      #expect(text.hasSuffix(".") || text.contains(": "), "\(text)")
    }
    let models = folder.path + "/models"
    #expect(((try? FileManager.default.contentsOfDirectory(atPath: models)) ?? []).isEmpty)
  }

  private func write(_ bytes: [UInt8], _ path: String) throws {
    try Data(bytes).write(to: URL(filePath: path))
  }

  private static let unet = "/unet/diffusion_pytorch_model.safetensors"
  private static let convolution = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"

  // Files of another kind.

  @Test(arguments: [
    ("PK\u{3}\u{4}rest of it", "zip archive"), ("GGUF....", "GGUF"),
    ("<!DOCTYPE html><html>", "web page"), ("version https://git-lfs", "git lfs pull"),
    ("", "empty"), ("short", "needs 8"), ("{\"a\": 1}        ", "get a safetensors file"),
  ])
  func filesOfAnotherKind(_ contents: String, _ word: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/model.safetensors"
    try write(Array(contents.utf8), path)
    expectRefused([word], path, folder)
  }

  @Test func picklesAreNotRead() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/model.safetensors"
    try write([0x80, 0x02, 0x7D, 0x71, 0x00], path)
    expectRefused(["a pickle", ".safetensors"], path, folder)
    try expectRefused("a pickle", ".safetensors") { folder in
      try FileManager.default.moveItem(
        atPath: folder + Self.unet, toPath: folder + "/unet/diffusion_pytorch_model.bin")
    }
  }

  @Test func truncatedFiles() throws {
    for count in [7, 100, 20_000, 400_000] {
      try expectRefused("get it again") { folder in
        let whole = try Data(contentsOf: URL(filePath: folder + Self.unet))
        try whole.prefix(count).write(to: URL(filePath: folder + Self.unet))
      }
    }
  }

  @Test func shapesThatLie() throws {
    try expectRefused("bytes for \"conv_in.bias\"") { folder in
      var bytes = Array(try Data(contentsOf: URL(filePath: folder + Self.unet)))
      let needle = Array("\"conv_in.bias\":{\"dtype\":\"F16\",\"shape\":[3".utf8)
      let start = bytes.indices.first { bytes[$0...].starts(with: needle) }!
      bytes[start + needle.count - 1] = UInt8(ascii: "9")
      try write(bytes, folder + Self.unet)
    }
  }

  @Test func nothingIsThere() throws {
    let folder = try TemporaryFolder()
    expectRefused(["No such file"], folder.path + "/none.safetensors", folder)
    try FileManager.default.createDirectory(
      atPath: folder.path + "/empty", withIntermediateDirectories: false)
    expectRefused(["model_index.json"], folder.path + "/empty", folder)
  }

  // Tensors.

  @Test func missingAndStrayTensors() throws {
    try expectFileRefused("has no \"input_blocks.1.0.in_layers.0.weight\"", "UNet") {
      $0.tensors["model.diffusion_model.input_blocks.1.0.in_layers.0.weight"] = nil
    }
    try expectFileRefused("nothing here reads", "first_stage_model.decoder.extra") {
      $0.set("first_stage_model.decoder.extra", [1], [0])
    }
    try expectFileRefused("\"something.else\"", "nothing here reads") {
      $0.set("something.else", [2], [0, 1])
    }
    try expectFileRefused("has no \"decoder.conv_in.bias\"", "autoencoder") {
      $0.rename("first_stage_model.decoder.conv_in.bias", to: "first_stage_model.decoder.conv_on")
    }
  }

  @Test func shapesThatContradictEachOther() throws {
    try expectFileRefused("shape [32, 31, 3, 3]", "[32, 32, 3, 3]", "in_layers.2") {
      $0.set(Self.convolution, [32, 31, 3, 3], Array(repeating: 0, count: 32 * 31 * 9))
    }
    // In the order of other programs.
    try expectFileRefused("shape [32, 3, 3, 32]") {
      $0.set(Self.convolution, [32, 3, 3, 32], Array(repeating: 0, count: 32 * 32 * 9))
    }
    try expectFileRefused("cross_attention_dim is 64", "65 channels") {
      $0.set(
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", [524, 65],
        Array(repeating: 0, count: 524 * 65))
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func numbersThatAreNone(
    _ number: Float
  ) throws {
    try expectFileRefused("NaN or infinity", "in_layers.2.weight") {
      var numbers = Array(repeating: Float(0.5), count: 32 * 32 * 9)
      numbers[1234] = number
      $0.set(Self.convolution, [32, 32, 3, 3], numbers)
    }
  }

  @Test func numbersThatAreTooLarge() throws {
    try expectFileRefused("too large", "input_blocks.0.0.weight") {
      var numbers = Array(repeating: Float(0.5), count: 32 * 4 * 9)
      numbers[7] = 70_000
      $0.set("model.diffusion_model.input_blocks.0.0.weight", [32, 4, 3, 3], numbers)
    }
  }

  @Test(arguments: [SafetensorsType.float64, .float8e4m3, .int8, .int64])
  func otherNumbers(_ type: SafetensorsType) throws {
    try expectFileRefused("as \(type.rawValue)", "F16") {
      $0.tensors[Self.convolution] = .init(
        name: Self.convolution, type: type, shape: [32, 32, 3, 3],
        bytes: [UInt8](repeating: 0, count: 32 * 32 * 9 * type.byteCount))
    }
  }

  // Checkpoints of other families.

  @Test(arguments: [
    ("conditioner.embedders.1.model.ln_final.weight", "SDXL"),
    ("model.diffusion_model.label_emb.0.0.weight", "SDXL"),
    ("model.diffusion_model.joint_blocks.0.x.weight", "SD 3"),
    ("model.diffusion_model.double_blocks.0.x.weight", "FLUX"),
    ("control_model.time_embed.0.weight", "ControlNet"),
    ("lora_unet_down_blocks_0.lora_up.weight", "banana peel install"),
  ])
  func otherFamiliesAreKnownByName(_ tensor: String, _ word: String) throws {
    try expectFileRefused(word) { $0.set(tensor, [1], [0]) }
  }

  @Test func partsByThemselves() throws {
    try expectFileRefused("--autoencoder") { draft in
      for name in draft.tensors.keys {
        if name.hasPrefix("first_stage_model.") {
          draft.rename(name, to: String(name.dropFirst("first_stage_model.".count)))
        } else {
          draft.tensors[name] = nil
        }
      }
    }
    try expectFileRefused("no text encoder") { draft in
      for name in draft.tensors.keys where name.hasPrefix("cond_stage_model.") {
        draft.tensors[name] = nil
      }
    }
    try expectFileRefused("no autoencoder", "--autoencoder") { draft in
      for name in draft.tensors.keys where name.hasPrefix("first_stage_model.") {
        draft.tensors[name] = nil
      }
    }
  }

  @Test(arguments: [
    ("StableDiffusionXLPipeline", "SDXL"), ("FluxPipeline", "FLUX"),
    ("StableDiffusion3Pipeline", "SD 3"), ("PixArtSigmaPipeline", "PixArtSigmaPipeline"),
    ("StableDiffusionInstructPix2PixPipeline", "pix2pix"),
  ])
  func otherPipelines(_ name: String, _ word: String) throws {
    try expectRefused(word, "Stable Diffusion 1 and 2") { folder in
      try write(Array("{\"_class_name\": \"\(name)\"}".utf8), folder + "/model_index.json")
    }
  }

  // Folders.

  @Test(arguments: [
    ("unet", "folder unet"), ("vae", "folder vae"), ("text_encoder", "folder text_encoder"),
    ("unet/config.json", "config.json"),
    ("vae/diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors"),
  ])
  func foldersWithoutAPart(_ part: String, _ word: String) throws {
    try expectRefused(word) { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/\(part)")
    }
  }

  @Test(arguments: [
    ("unet/config.json", "{", "config.json cannot be read"), ("vae/config.json", "[]", "no object"),
    ("model_index.json", "{\"a\": 1, \"a\": 2}", "model_index.json cannot be read"),
    ("unet/config.json", "{}", "block_out_channels"),
    ("unet/config.json", "{\"block_out_channels\": [1e300]}", "block_out_channels"),
    ("scheduler/scheduler_config.json", "{\"beta_schedule\": \"linear\"}", "beta_schedule"),
    ("tokenizer/merges.txt", "#version: 0.2\n", "no merges"),
    ("tokenizer/vocab.json", "{\"a\": 1}", "vocab.json"),
    ("tokenizer/merges.txt", "#version: 0.2\ni n\n", "vocab.json"),
  ])
  func filesOfText(_ file: String, _ contents: String, _ word: String) throws {
    try expectRefused(word) { try write(Array(contents.utf8), "\($0)/\(file)") }
  }

  @Test func vocabularyOfAnotherLength() throws {
    try expectRefused("515 tokens", "524 embeddings") { folder in
      try FileManager.default.removeItem(atPath: folder + "/tokenizer/vocab.json")
      try write(Array("#version: 0.2\ni n\n".utf8), folder + "/tokenizer/merges.txt")
    }
  }

  @Test func shardsAreNamesOfFilesBesideTheIndex() throws {
    try expectRefused("no name of a file beside it") { folder in
      try FileManager.default.removeItem(atPath: folder + Self.unet)
      try write(
        Array("{\"weight_map\": {\"a\": \"../secret.safetensors\"}}".utf8),
        folder + "/unet/diffusion_pytorch_model.safetensors.index.json")
    }
  }

  @Test func shardsAreReadTogether() throws {
    let folder = try TemporaryFolder()
    let copy = try folder.tinyCopy()
    let whole = try SafetensorsFile(path: copy + Self.unet)
    var map: [String: String] = [:]
    for part in 0..<2 {
      let tensors = whole.names.enumerated().filter { $0.offset % 2 == part }.map { _, name in
        let tensor = whole.tensor(named: name)!
        map[name] = "part-\(part).safetensors"
        return SafetensorsWriter.Tensor(
          name: name, type: tensor.type, shape: tensor.shape.dimensions,
          bytes: Array(tensor.bytes))
      }
      try SafetensorsWriter.write(tensors, to: "\(copy)/unet/part-\(part).safetensors")
    }
    try FileManager.default.removeItem(atPath: copy + Self.unet)
    try JSONEncoder().encode(["weight_map": map])
      .write(to: URL(filePath: copy + "/unet/diffusion_pytorch_model.safetensors.index.json"))
    let result = try ModelImporter.importing(copy, to: folder.path + "/a")
    let same = try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/b")
    let manifests = try [result, same].map { try ModelPackage.manifest(inFolder: $0.path) }
    #expect(manifests[0].files["unet.safetensors"] == manifests[1].files["unet.safetensors"])
  }

  @Test(.enabled(if: SmallDisk.isAvailable)) func fullDisksAreToldBeforehand() throws {
    let disk = try SmallDisk(bytes: 4 << 20)
    #expect { try ModelImporter.importing(Fixtures.tiny, to: disk.path + "/models") } throws: {
      "\($0)".contains("MiB free and the model needs")
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: disk.path + "/models")
    #expect(left.isEmpty)
  }
}
