import BananaAPI
import Diffusion
import Foundation
import Graph
import Models
import TensorTypes
import Testing
import Weights

@testable import ModelImport

/// Whole imports of a tiny checkpoint.
@Suite struct ImportTests {
  private func manifest(_ path: String) throws -> ModelManifest {
    try ModelPackage.manifest(inFolder: path)
  }

  @Test(arguments: WeightQuantization.allCases)
  func folderBecomesAModelThatOpens(_ quantization: WeightQuantization) throws {
    let folder = try TemporaryFolder()
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path) {
      $0.quantization = quantization
    }
    #expect(folder.names == ["tiny"])
    let model = try LoadedModel(path: result.path)
    #expect(model.manifest.name == "tiny")
    #expect(model.manifest.licenses.map(\.license) == ["creativeml-openrail-m"])
    #expect(model.facts.sampling.sampler == .dpmSolver)
    #expect(model.facts.sampling.steps == 20)
    #expect(model.facts.prediction == .noise)
    try checkWeights(model, quantization)
    #expect(result.errors.isEmpty == (quantization == .f16))
    let floor = quantization == .w4a8 ? 15.0 : 30
    #expect(result.errors.allSatisfy { $0.decibels > floor })
  }

  /// Every weight is in the format that it should have, and near what the checkpoint has.
  private func checkWeights(_ model: LoadedModel, _ quantization: WeightQuantization) throws {
    let files = [
      "unet": "unet/diffusion_pytorch_model", "textEncoder": "text_encoder/model",
      "autoencoder": "vae/diffusion_pytorch_model",
    ]
    var formats: [String: Int] = [:]
    for network in model.family.networks {
      let graph = model.family.graph(of: network.name, model.facts.smallestExtents)
      let source = try SafetensorsFile(
        path: "\(Fixtures.tiny)/\(files[network.weights]!).safetensors")
      for weight in graph.weights {
        let stored = try model.stores[network.weights]!.weight(
          named: weight.name, logicalShape: weight.shape)
        formats["\(stored.format)", default: 0] += 1
        let name =
          network.weights == "textEncoder"
          ? weight.name.replacing("text_model.", with: "") : weight.name
        let expected = Self.channelsInnermost(source.tensor(named: name)!)
        let numbers = stored.dequantized()
        let largest = expected.map { abs($0) }.max()!
        let rows = weight.shape.dimensions.first ?? 1
        func tolerance(_ index: Int) -> Float {
          let factor = stored.smoothing.map { $0[index % $0.count] } ?? 1
          return switch stored.format {
          case .int8: stored.scales![index / (expected.count / rows)] * factor * 0.501
          case .int4: largest / 4 * factor / (stored.smoothing?.min() ?? 1)
          default: 0
          }
        }
        #expect(numbers.count == expected.count, "\(name)")
        let isNear = expected.indices.allSatisfy {
          abs(numbers[$0] - expected[$0]) <= tolerance($0)
        }
        #expect(isNear, "\(name)")
      }
    }
    #expect((formats["int8"] != nil) == (quantization != .f16))
    #expect((formats["int4(group: 32)"] != nil) == (quantization == .w4a8))
  }

  private static func channelsInnermost(_ tensor: SafetensorsFile.Tensor) -> [Float] {
    let numbers = SingleFileDraft.widened(tensor)
    let shape = tensor.shape.dimensions
    guard shape.count == 4 else { return numbers }
    let (channels, places) = (shape[1], shape[2] * shape[3])
    return (0..<numbers.count).map { index in
      let (row, rest) = (index / (channels * places), index % (channels * places))
      return numbers[row * channels * places + rest % channels * places + rest / channels]
    }
  }

  /// One file, in any of the three types, is the same model as the folder.
  @Test(arguments: [SafetensorsType.float16, .float32])
  func singleFileIsTheSameModel(_ type: SafetensorsType) throws {
    let folder = try TemporaryFolder()
    let whole = try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/a")
    var draft = try SingleFileDraft(type: type)
    // What training leaves in files.
    draft.set("model_ema.decay", [], [0.9999])
    draft.set("alphas_cumprod", [4], [1, 0.5, 0.2, .nan])
    draft.set("cond_stage_model.transformer.text_model.embeddings.position_ids", [1], [0])
    try draft.write(to: folder.path + "/My Model.safetensors")
    let single = try ModelImporter.importing(
      folder.path + "/My Model.safetensors", to: folder.path + "/b")
    #expect(single.name == "my-model")
    let (a, b) = (try manifest(whole.path), try manifest(single.path))
    for name in ["unet.safetensors", "textEncoder.safetensors", "autoencoder.safetensors"] {
      #expect(a.files[name] == b.files[name], "\(name)")
    }
    let models = (try LoadedModel(path: whole.path), try LoadedModel(path: single.path))
    #expect(models.0.facts == models.1.facts)
  }

  @Test func bfloat16IsRead() throws {
    let folder = try TemporaryFolder()
    try SingleFileDraft(type: .bfloat16).write(to: folder.path + "/b.safetensors")
    let result = try ModelImporter.importing(folder.path + "/b.safetensors", to: folder.path)
    _ = try LoadedModel(path: result.path)
  }

  @Test func packageTellsWhatRoundingCost() throws {
    let folder = try TemporaryFolder()
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path)
    let record = try JSONTree(contentsOf: result.path + "/quantization.json")
    #expect(record["quantization"] == "w8a8")
    let unet = try #require(record["weights"]?["unet"])
    let entry = try #require(unet["down_blocks.0.resnets.0.conv1.weight"])
    #expect(entry["format"] == "int8")
    #expect((entry["decibels"]?.number ?? 0) > 30)
    #expect(unet["conv_in.weight"]?["format"] == "f16")
    #expect(unet["time_embedding.linear_1.weight"]?["format"] == "f16")
    #expect(unet["conv_norm_out.weight"]?["format"] == "f32")
    #expect(result.errors == result.errors.sorted { $0.decibels < $1.decibels })
  }

  /// What is behind a norm is smoothed, once for all that read it, and what is behind an activation
  /// has most bytes above zero.
  @Test(arguments: [WeightQuantization.w8a8, .w4a8])
  func packageSaysHowInputsAreRounded(_ quantization: WeightQuantization) throws {
    let folder = try TemporaryFolder()
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path) {
      $0.quantization = quantization
    }
    let model = try LoadedModel(path: result.path)
    let unet = try SafetensorsFile(path: result.path + "/unet.safetensors")
    func bytes(_ name: String) -> [UInt8]? { unet.tensor(named: name).map { Array($0.bytes) } }
    func zero(_ name: String) -> Int { model.stores["unet"]!.zeroPoint(of: name) }
    let block = "down_blocks.0.attentions.0.transformer_blocks.0"
    let queries = try #require(bytes("\(block).attn1.to_q.weight.smooth"))
    #expect(bytes("\(block).attn1.to_k.weight.smooth") == queries)
    #expect(bytes("\(block).attn1.to_v.weight.smooth") == queries)
    #expect(bytes("\(block).attn2.to_q.weight.smooth") != queries)
    // No norm says how large these are.
    #expect(bytes("\(block).attn1.to_out.0.weight.smooth") == nil)
    #expect(bytes("\(block).attn2.to_k.weight.smooth") == nil)
    #expect(bytes("\(block).attn1.to_q.weight.zero") == nil)
    let convolution = "down_blocks.0.resnets.0.conv1.weight"
    #expect(bytes(convolution + ".smooth") != nil)
    #expect((-120 ..< -40).contains(zero(convolution)))
    #expect(zero("down_blocks.0.resnets.0.time_emb_proj.weight") < -40)
    #expect(bytes("conv_in.weight.smooth") == nil)
    let text = model.stores["textEncoder"]!
    #expect(text.zeroPoint(of: "text_model.encoder.layers.0.mlp.fc2.weight") < -40)
  }

  @Test func progressEndsAtOne() throws {
    let folder = try TemporaryFolder()
    var shares: [Double] = []
    _ = try ModelImporter(
      .init(source: Fixtures.tiny, destination: folder.path, vocabulary: Fixtures.merges)
    ).run(progress: { shares.append($0) })
    #expect(shares == shares.sorted())
    #expect(abs(shares.last! - 1) < 1e-9)
  }

  @Test func whatIsStoppedLeavesNothing() throws {
    let folder = try TemporaryFolder()
    var asked = 0
    #expect(throws: ImportError.self) {
      try ModelImporter(
        .init(source: Fixtures.tiny, destination: folder.path, vocabulary: Fixtures.merges)
      ).run(isStopped: {
        asked += 1
        return asked > 20
      })
    }
    #expect(folder.names == [])
  }

  @Test func whatAKilledImportLeftIsSweptByTheNext() throws {
    let folder = try TemporaryFolder()
    let dead = folder.path + "/.unfinished/1-2"
    try FileManager.default.createDirectory(atPath: dead, withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: URL(filePath: dead + "/model.json"))
    #expect(ModelFolders.packages(in: folder.path).isEmpty)
    // One that lives keeps its own.
    let living = try HiddenFolder(in: folder.path)
    #expect(!FileManager.default.fileExists(atPath: dead))
    let other = try HiddenFolder(in: folder.path)
    #expect(FileManager.default.fileExists(atPath: living.path))
    #expect(living.path != other.path)
  }

  @Test func namesAreTakenOnce() throws {
    let folder = try TemporaryFolder()
    _ = try ModelImporter.importing(Fixtures.tiny, to: folder.path)
    #expect { try ModelImporter.importing(Fixtures.tiny, to: folder.path) } throws: {
      "\($0)".contains("There is a model \"tiny\" already")
    }
    _ = try ModelImporter.importing(Fixtures.tiny, to: folder.path) { $0.name = "other" }
    let models = ModelFolders.packages(in: folder.path).map(StoredModel.init)
    #expect(models.map(\.name) == ["other", "tiny"])
    #expect(models[0].byteCount > models[0].manifest!.byteCount)
    try models[0].remove()
    #expect(folder.names == ["tiny"])
  }

  @Test(arguments: ["", "Big", "../up", ".hidden", "a/b", "é", String(repeating: "a", count: 65)])
  func namesThatAreNone(_ name: String) throws {
    let folder = try TemporaryFolder()
    #expect(throws: ImportError.self) {
      try ModelImporter.importing(Fixtures.tiny, to: folder.path) { $0.name = name }
    }
    #expect(folder.names == [])
  }

  @Test func namesAreMadeOfFiles() throws {
    #expect(
      try ModelName.of(path: "/a/DreamShaper_8 (pruned).safetensors")
        == "dreamshaper_8--pruned-")
    #expect(try ModelName.of(path: "/a/_b/") == "b")
  }
}
