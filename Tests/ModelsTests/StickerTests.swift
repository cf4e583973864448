import Graph
import TensorTypes
import Testing

@testable import Models

@Suite struct StickerTests {
  /// The extents of the model that ships.
  static let configuration = StickerConfiguration(
    text: .init(
      vocabulary: "vocab.txt", lowercase: true, maximumTokens: 64,
      promptTemplate: "{style} sticker of {prompt}", styles: ["3d", "flat"], defaultStyle: "3d"),
    textEncoder: .init(
      vocabularySize: 30522, width: 384, layers: 6, heads: 12, hiddenWidth: 1536,
      maximumPositions: 512, normEpsilon: 1e-12),
    denoiser: .init(
      latentChannels: 128, latentHeight: 8, latentWidth: 8, width: 384, layers: 8, heads: 6,
      keyValueHeads: 2, hiddenWidth: 1024, textWidth: 384, sigmaChannels: 256,
      prediction: .sample, ropeBase: 100,
      normEpsilon: 1e-6),
    decoder: .init(
      latentChannels: 128, patch: 64, latentHeight: 8, latentWidth: 8, width: 384, layers: 4,
      heads: 6, keyValueHeads: 2, hiddenWidth: 1024, ropeBase: 100, normEpsilon: 1e-6),
    encoder: .init(
      latentChannels: 128, widths: [64, 96, 160, 256], blocks: [1, 1, 1, 1], headFactor: 8,
      normEpsilon: 1e-6),
    latents: .init(
      mean: Array(repeating: 0, count: 128), standardDeviation: Array(repeating: 1, count: 128)),
    sampling: .init(sampler: .consistency, steps: 2, guidance: 1, sigmaShift: 3),
    alphaRange: nil, sizes: [256, 512])

  private func graph(
    _ name: NetworkName, batch: Int = 1, tokens: Int = 16, of family: Sticker? = nil
  ) throws -> Graph {
    try (family ?? Sticker(Self.configuration)).graph(
      of: name, Extents(batch: batch, tokens: tokens))
  }

  @Test func networksFitTogether() throws {
    let family = try Sticker(Self.configuration)
    try family.facts.validate()
    try family.checkNetworks()
    #expect(family.facts.nativeSize == PictureSize(width: 512, height: 512))
    #expect(family.facts.offered(PictureSize(width: 256, height: 256))?.shrinking == 2)
    #expect(try graph("denoiser", batch: 2).outputs[0].value.shape == [2, 64, 128])
    #expect(try graph("decoder").outputs[0].value.shape == [1, 512, 512, 4])
    #expect(try graph("encoder").outputs[0].value.shape == [1, 8, 8, 128])
    let given = try graph("textEncoder").outputs + graph("context").outputs
    for input in try graph("denoiser").inputs where !["latents", "time"].contains(input.name) {
      #expect(
        given.contains { $0.name == input.name && $0.value.shape == input.value.shape },
        "\(input.name)")
    }
  }

  /// The promise of the first model: a guided step and the decoder together within 15 GOP.
  @Test func aStepAndTheDecoderStayWithinTheirCost() throws {
    let operations =
      try graph("denoiser", batch: 2).operationCount + graph("decoder").operationCount
    #expect(operations <= 15_000_000_000)
    #expect(operations > 3_000_000_000)
  }

  @Test func fusionLeavesNoLooseEpilogue() throws {
    let graph = try graph("denoiser", batch: 2).fusingEpilogues()
    try graph.verify()
    let loose = graph.nodes.filter { $0.op == .binary(.multiply) }
    #expect(loose.isEmpty, "\(graph.dump())")
  }

  /// A peel on every linear of the layers costs a small product each, and takes no epilogue
  /// away from the linears.
  @Test func peelsLeaveEpiloguesFused() throws {
    let plain = try graph("denoiser", batch: 2)
    let sites = Set(plain.weights.filter { $0.name.hasPrefix("layers.") && $0.shape[0] > 6 })
      .filter { weight in plain.nodes.contains { $0.op == .linear(Linear(weight: weight)) } }
    #expect(sites.count == 5 * 8)
    let attached = plain.attachingPeels(
      to: Dictionary(uniqueKeysWithValues: sites.map { ($0, PeelAttachment(rank: 16)) }))
    try attached.verify()
    #expect(attached.inputs.count == plain.inputs.count + 2 * sites.count)
    let (fused, peeled) = (plain.fusingEpilogues(), attached.fusingEpilogues())
    try peeled.verify()
    #expect(peeled.nodes.count == fused.nodes.count + sites.count)
    #expect(plain.attachingPeels(to: [:]) == plain)
    #expect(Double(peeled.operationCount) < 1.15 * Double(fused.operationCount))
  }

  @Test func numbersThatNoNetworkHasAreRefused() throws {
    let changes: [(inout StickerConfiguration) -> Void] = [
      { $0.denoiser.normEpsilon = -1 }, { $0.denoiser.normEpsilon = .nan },
      { $0.decoder.ropeBase = 0 }, { $0.denoiser.ropeBase = .infinity },
      { $0.textEncoder.normEpsilon = .infinity }, { $0.encoder.normEpsilon = -0.1 },
      { $0.denoiser.layers = 65_536 }, { $0.textEncoder.maximumPositions = 1 },
      // No square, and too large.
      {
        $0.denoiser.latentWidth = 4
        $0.decoder.latentWidth = 4
      },
      {
        for path in [\StickerConfiguration.denoiser.latentHeight, \.denoiser.latentWidth] {
          $0[keyPath: path] = 1024
        }
        ($0.decoder.latentHeight, $0.decoder.latentWidth) = (1024, 1024)
      },
    ]
    for (index, change) in changes.enumerated() {
      var configuration = Self.configuration
      change(&configuration)
      #expect(throws: ConfigurationError.self, "\(index)") { try Sticker(configuration) }
    }
  }

  @Test func factsThatNothingCanBeDrawnWithAreRefused() throws {
    let changes: [(inout StickerConfiguration) -> Void] = [
      { $0.sizes = [] }, { $0.sizes = [512, 0] }, { $0.sizes = [512, 300] }, { $0.sizes = [256] },
      { $0.latents.mean = [1] }, { $0.latents.standardDeviation[7] = 0 },
      { $0.latents.mean[3] = .infinity }, { $0.sampling.steps = 0 },
      { $0.sampling.sigmaShift = 0 }, { $0.sampling.sigmaShift = 1e30 },
      { $0.sampling.sigmaShift = 1e-30 }, { $0.sampling.guidance = -1 },
      { $0.sampling.guidance = 1e30 }, { $0.sampling.guidance = 2 },
      { $0.alphaRange = [0, .leastNonzeroMagnitude] }, { $0.alphaRange = [0.5, 0.55] },
      { $0.alphaRange = [0.5] },
      { $0.text.defaultStyle = "oil" }, { $0.text.promptTemplate = "{style}" },
      { $0.text.promptTemplate = "{prompt}{prompt}" }, { $0.text.maximumTokens = 1 },
    ]
    for (index, change) in changes.enumerated() {
      var configuration = Self.configuration
      change(&configuration)
      #expect(throws: ConfigurationError.self, "\(index)") {
        try Sticker(configuration).facts.validate()
      }
    }
  }

  @Test func extentsThatDoNotFitAreRefused() {
    let paths: [WritableKeyPath<StickerConfiguration, Int>] = [
      \.denoiser.keyValueHeads, \.denoiser.heads, \.denoiser.textWidth, \.textEncoder.heads,
      \.decoder.patch, \.encoder.latentChannels,
    ]
    for path in paths {
      for extent in [-1, 0, 5, Int.max] {
        var configuration = Self.configuration
        configuration[keyPath: path] = extent
        #expect(throws: ConfigurationError.self, "\(path) = \(extent)") {
          try Sticker(configuration)
        }
      }
    }
  }
}
