import Graph
import Models
import TensorTypes

/// A family that shares nothing with the one that ships: two text encoders with a tokenizer each,
/// pictures that are not square, in red, green and blue, noise predicted on a variance preserving
/// process, the second-order sampler, no styles, and nothing that could read a picture.
struct Postcard: ConfigurableFamily {
  struct Configuration: Decodable, Sendable {
    var width: Int
    var steps: Int
  }

  /// Words of each tokenizer; the second one knows capitals.
  static let vocabularies = [
    "left": ["[UNK]", "[CLS]", "[SEP]", "red", "blue", "house", "boat"],
    "right": ["[UNK]", "[CLS]", "[SEP]", "Red", "blue", "House", "sea", "wind"],
  ]
  private static let channels = 4
  private static let scale = 8

  let configuration: Configuration

  init(_ configuration: Configuration) throws(ConfigurationError) {
    try ConfigurationError.check(
      configuration.width % 4 == 0 && 4...64 ~= configuration.width, "denoiser", "odd width")
    self.configuration = configuration
  }

  let networks = [
    NetworkDescription("left", .text(tokenizer: "left"), axes: [.batch, .tokens]),
    NetworkDescription("right", .text(tokenizer: "right"), axes: [.batch, .tokens]),
    NetworkDescription(
      "denoiser", .denoiser, axes: [.batch, .tokens, .height, .width], isOpenToPeels: true),
    NetworkDescription("decoder", .decoder, axes: [.batch, .height, .width]),
  ]

  var facts: ModelFacts {
    ModelFacts(
      latents: LatentSpace(
        channels: Self.channels, scale: Self.scale,
        mean: Array(repeating: 0, count: Self.channels),
        standardDeviation: Array(repeating: 1 / 0.18215, count: Self.channels)),
      pixels: .rgb, noise: .variancePreserving(Betas(), Timesteps(.trailing)), prediction: .noise,
      sampling: SamplingRecipe(sampler: .dpmSolver, steps: configuration.steps, guidance: 3),
      tokenizers: ["left", "right"].map { name in
        TokenizerDescription(
          name: name, kind: .wordPiece(isLowercase: name == "left"), vocabulary: "\(name).txt",
          vocabularySize: Self.vocabularies[name]!.count, maximumTokens: name == "left" ? 8 : 12,
          paddedLengths: [4, 8])
      },
      prompt: PromptForm(),
      sizes: [
        OfferedSize(PictureSize(width: 48, height: 32)),
        OfferedSize(PictureSize(width: 32, height: 48)),
        OfferedSize(PictureSize(width: 24, height: 16), shrinking: 2),
      ], nativeSize: PictureSize(width: 48, height: 32))
  }

  func graph(of name: NetworkName, _ extents: Extents) -> Graph {
    switch name {
    case "left", "right": text(name.description, extents)
    case "denoiser": denoiser(extents)
    default: decoder(extents)
    }
  }

  private func text(_ name: String, _ extents: Extents) -> Graph {
    let (g, weights, width) = (GraphBuilder(name), WeightScope(), configuration.width)
    let ids = g.input("ids", [extents.batch, extents.tokens], .int32)
    let bias = g.input("bias", [extents.batch, extents.tokens])
    let words = weights["words"].weight([Self.vocabularies[name]!.count, width])
    var x = g.embedding(ids, words)  // [batch, token, width]
    let attended = g.attention(
      x, [.init(keys: x, values: x, bias: bias)], heads: 1, keyValueHeads: 1)
    x = g.add(x, g.linear(attended, weights["out"], outputs: width))
    g.output("\(name).keys", g.linear(x, weights["keys"], outputs: width))
    g.output("\(name).values", g.linear(x, weights["values"], outputs: width))
    g.output("\(name).bias", bias)
    return g.build()
  }

  private func denoiser(_ extents: Extents) -> Graph {
    let (g, weights, width) = (GraphBuilder("denoiser"), WeightScope(), configuration.width)
    let (batch, places) = (extents.batch, extents.height * extents.width)
    let latents = g.input("latents", [batch, extents.height, extents.width, Self.channels])
    let time = g.sinusoidal(g.input("time", [batch]), width: width, scale: 1)
    let texts = ["left", "right"].map { name in
      GraphBuilder.KeyValueSegment(
        keys: g.input("\(name).keys", [batch, extents.tokens, width]),
        values: g.input("\(name).values", [batch, extents.tokens, width]),
        bias: g.input("\(name).bias", [batch, extents.tokens]))
    }
    let tokens = g.reshape(latents, [batch, places, Self.channels])
    var x = g.add(
      g.linear(tokens, weights["input"], outputs: width),
      g.linear(time, weights["time"], outputs: width))  // [batch, place, width]
    x = g.add(x, g.attention(x, texts, heads: 2, keyValueHeads: 2))
    let noise = g.linear(g.silu(x), weights["output"], outputs: Self.channels)
    g.output(
      "prediction", g.reshape(noise, [batch, extents.height, extents.width, Self.channels]))
    return g.build()
  }

  private func decoder(_ extents: Extents) -> Graph {
    let g = GraphBuilder("decoder")
    let latents = g.input(
      "latents", [extents.batch, extents.height, extents.width, Self.channels])
    let patches = g.linear(
      latents, WeightScope()["output"], outputs: Self.scale * Self.scale * 3)
    g.output("pixels", g.depthToSpace(patches, factor: Self.scale))
    return g.build()
  }
}
