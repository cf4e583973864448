import CPUBackend
import Foundation
import Imaging
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// A model folder in which something is wrong is refused whole, with a reason.
@Suite struct LoadedModelTests {
  /// Calls `body` with a copy of the tiny package that it may spoil.
  private func withCopy(_ body: (URL) throws -> Void) throws {
    let files = FileManager.default
    let folder = files.temporaryDirectory.appending(path: "banana-\(UUID().uuidString)")
    defer { try? files.removeItem(at: folder) }
    try files.copyItem(
      at: Goldens.root.appending(path: "Tests/Fixtures/goldens/tiny"), to: folder)
    try body(folder)
  }

  private func reason(_ folder: URL) -> String {
    do {
      _ = try LoadedModel(path: folder.path)
      return "it opened"
    } catch { return "\(error)" }
  }

  @Test func everyFileIsMissed() throws {
    let names = [
      "text_encoder.safetensors", "denoiser.safetensors", "decoder.safetensors",
      "encoder.safetensors", "vocab.txt",
    ]
    for name in names {
      try withCopy { folder in
        try FileManager.default.removeItem(at: folder.appending(path: name))
        #expect(reason(folder).contains(name))
      }
    }
    try withCopy { folder in
      try FileManager.default.removeItem(at: folder.appending(path: "model.json"))
      #expect(reason(folder).contains("model.json is missing"))
    }
  }

  @Test func aChangedByteIsNoticed() throws {
    try withCopy { folder in
      let path = folder.appending(path: "denoiser.safetensors")
      var bytes = try Data(contentsOf: path)
      bytes[bytes.count - 1] ^= 1
      try bytes.write(to: path)
      #expect(reason(folder).contains("denoiser.safetensors"))
    }
  }

  @Test func aTruncatedFileIsNoticed() throws {
    try withCopy { folder in
      let path = folder.appending(path: "decoder.safetensors")
      try Data(contentsOf: path).dropLast(64).write(to: path)
      #expect(reason(folder).contains("decoder.safetensors"))
    }
  }

  @Test(arguments: [
    ("\"sticker-dit\"", "\"novel\"", "family"), ("\"heads\": 4", "\"heads\": 5", "heads"),
    ("\"latentChannels\": 8", "\"latentChannels\": 9", "latent"),
    ("\"vocabularySize\": 159", "\"vocabularySize\": 160", "160"),
    ("\"layers\": 2", "\"layers\": 1", "no network uses"),
    ("    64\n    ]", "    32\n    ]", "sizes"), ("\"encoder\": [", "\"coder\": [", "encoder"),
    ("\"formatVersion\": 2", "\"formatVersion\": 3", "newer"),
    ("\"formatVersion\": 2", "\"formatVersion\": 1", "apt-get"), ("{", "", "not valid"),
  ])
  func aManifestThatDoesNotFitIsRefused(
    _ test: (original: String, changed: String, reason: String)
  ) throws {
    try withCopy { folder in
      let path = folder.appending(path: "model.json")
      let text = try String(contentsOf: path, encoding: .utf8)
      let range = try #require(text.range(of: test.original))
      try text.replacingCharacters(in: range, with: test.changed)
        .write(to: path, atomically: true, encoding: .utf8)
      let found = reason(folder)
      #expect(found != "it opened" && found.contains(test.reason), "\(found)")
    }
  }

  @Test func aPromptIsPaddedToNoMoreThanTheModelReads() throws {
    var tokenizer = try Goldens.tiny().model.facts.tokenizers[0]
    for (tokens, maximum, length) in [(3, 64, 16), (18, 20, 20), (2, 2, 2), (65, 77, 77)] {
      tokenizer.maximumTokens = maximum
      #expect(tokenizer.paddedLength(of: tokens) == length)
    }
  }

  @Test func thePromptIsOnlyText() throws {
    let model = try Goldens.tiny().model
    #expect(
      try model.prompt("{style} {prompt}", style: "flat") == "flat sticker of {style} {prompt}")
    #expect(throws: GenerationError.self) { try model.prompt("apple", style: "cubist") }
  }
}
