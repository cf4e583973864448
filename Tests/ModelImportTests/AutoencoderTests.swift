import Diffusion
import Foundation
import Models
import TensorTypes
import Testing
import Weights

@testable import ModelImport

/// An autoencoder in place of the checkpoint's own.
@Suite struct AutoencoderTests {
  /// The two files of a tiny autoencoder of two levels and one block in each, with the names of its
  /// author; every tensor's numbers are its own.
  private func writeHalves(to folder: String) throws -> [String] {
    let encoder: [(String, [Int])] = [
      ("0", [8, 3, 3, 3]), ("1.conv.0", [8, 8, 3, 3]), ("1.conv.2", [8, 8, 3, 3]),
      ("1.conv.4", [8, 8, 3, 3]), ("2", [8, 8, 3, 3]), ("3.conv.0", [8, 8, 3, 3]),
      ("3.conv.2", [8, 8, 3, 3]), ("3.conv.4", [8, 8, 3, 3]), ("4", [4, 8, 3, 3]),
    ]
    // The layer before the first one, which clamps, has the number 0.
    let decoder: [(String, [Int])] = [
      ("1", [8, 4, 3, 3]), ("3.conv.0", [8, 8, 3, 3]), ("3.conv.2", [8, 8, 3, 3]),
      ("3.conv.4", [8, 8, 3, 3]), ("5", [8, 8, 3, 3]), ("6.conv.0", [8, 8, 3, 3]),
      ("6.conv.2", [8, 8, 3, 3]), ("6.conv.4", [8, 8, 3, 3]), ("7", [3, 8, 3, 3]),
    ]
    var paths: [String] = []
    for (half, layers, unbiased) in [("encoder", encoder, "2"), ("decoder", decoder, "5")] {
      var draft = SingleFileDraft.empty
      for (index, (name, shape)) in layers.enumerated() {
        draft.set("\(name).weight", shape, numbers(shape.reduce(1, *), index))
        if name != unbiased { draft.set("\(name).bias", [shape[0]], numbers(shape[0], index)) }
      }
      paths.append("\(folder)/taesd_\(half).safetensors")
      try draft.write(to: paths[paths.count - 1])
    }
    return paths
  }

  private func numbers(_ count: Int, _ layer: Int) -> [Float] {
    (0..<count).map { Float(layer) + Float($0 % 64) / 64 }
  }

  @Test func halvesOfATinyOne() throws {
    let folder = try TemporaryFolder()
    let halves = try writeHalves(to: folder.path)
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/models") {
      $0.autoencoders = halves.reversed()
      $0.quantization = .f16
    }
    let model = try LoadedModel(path: result.path)
    #expect(model.facts.latents.standardDeviation == [1, 1, 1, 1])
    let store = model.stores["autoencoder"]!
    // The fourth of the decoder's layers: its second convolution in the first block.
    let weight = try store.weight(
      named: "decoder.layers.2.conv.2.weight", logicalShape: [8, 3, 3, 8]
    ).dequantized()
    #expect(weight[0] == 2 && weight[8] == Float(2) + 1 / 64 && weight[1] == Float(2) + 9 / 64)
    let last = try store.weight(named: "encoder.layers.4.bias", logicalShape: [4]).dequantized()
    #expect(last == numbers(4, 8))
  }

  /// Between its ends, a tiny decoder is of integers; behind ReLU nothing is below zero. Its
  /// encoder is not.
  @Test func aTinyDecoderIsOfIntegers() throws {
    let folder = try TemporaryFolder()
    let halves = try writeHalves(to: folder.path)
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/models") {
      $0.autoencoders = halves
    }
    let store = try LoadedModel(path: result.path).stores["autoencoder"]!
    func format(_ layer: String) -> StorageFormat? {
      store.quantization(of: "decoder.layers.\(layer).weight")
    }
    #expect(format("0") == nil && format("6") == nil)
    for (layer, zero) in [("2.conv.0", -126), ("2.conv.4", -126), ("4", -126), ("5.conv.0", 0)] {
      #expect(format(layer) == .int8)
      #expect(store.zeroPoint(of: "decoder.layers.\(layer).weight") == zero, "\(layer)")
    }
    #expect(store.quantization(of: "encoder.layers.1.conv.0.weight") == nil)
  }

  @Test func halfATinyOneIsNotEnough() throws {
    let folder = try TemporaryFolder()
    let halves = try writeHalves(to: folder.path)
    for half in halves {
      #expect(throws: ImportError.self) {
        try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/models") {
          $0.autoencoders = [half]
        }
      }
    }
  }

  /// The checkpoint's own kind, by the names of a single file.
  @Test func aFileOfStableDiffusionsKind() throws {
    let folder = try TemporaryFolder()
    var draft = try SingleFileDraft.tiny()
    for name in draft.tensors.keys {
      if name.hasPrefix("first_stage_model.") {
        draft.rename(name, to: String(name.dropFirst("first_stage_model.".count)))
      } else {
        draft.tensors[name] = nil
      }
    }
    try draft.write(to: folder.path + "/vae.safetensors")
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/a") {
      $0.autoencoders = [folder.path + "/vae.safetensors"]
    }
    let own = try ModelImporter.importing(Fixtures.tiny, to: folder.path + "/b") {
      $0.autoencoders = [Fixtures.tiny + "/vae"]
    }
    let manifests = try [result, own].map { try ModelPackage.manifest(inFolder: $0.path) }
    #expect(
      manifests[0].files["autoencoder.safetensors"] == manifests[1].files["autoencoder.safetensors"]
    )
  }
}
