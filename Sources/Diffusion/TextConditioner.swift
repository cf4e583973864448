import Execution
import Models
import TensorTypes
import Text

/// A prompt as the denoiser sees it: what does not change over the steps.
struct EncodedText {
  /// Tokens, padding included.
  let tokens: Int
  /// `[width]`.
  let pooled: [Float]
  /// `[token]`: 0, or -infinity for padding.
  let bias: [Float]
  /// `[token, kvWidth]` for each layer.
  let keys: [[Float]]
  let values: [[Float]]
  let isTruncated: Bool
}

/// Turns prompts into keys, values and a pooled vector.
final class TextConditioner {
  /// Prompts are padded to one of these lengths, so that few plans serve all of them.
  static let lengths = [16, 32, 64]

  private let tokenizer: WordPieceTokenizer
  private let networks: BoundModel
  private let maximumTokens: Int
  /// The empty prompt at each length; guidance needs it for every picture.
  private var unconditional: [Int: EncodedText] = [:]

  init(tokenizer: WordPieceTokenizer, networks: BoundModel, maximumTokens: Int) {
    self.tokenizer = tokenizer
    self.networks = networks
    self.maximumTokens = min(maximumTokens, networks.family.maximumTokens)
  }

  /// Encodes a prompt.
  func encode(_ prompt: String) throws(ExecutionError) -> EncodedText {
    let tokenized = tokenizer.encode(prompt, maximumTokens: maximumTokens)
    let length = Self.lengths.first { $0 >= tokenized.ids.count } ?? maximumTokens
    return try encode(tokenized, length: length)
  }

  /// Encodes the empty prompt, padded to the length of another one.
  func unconditional(length: Int) throws(ExecutionError) -> EncodedText {
    if let known = unconditional[length] { return known }
    let encoded = try encode(tokenizer.encode("", maximumTokens: maximumTokens), length: length)
    unconditional[length] = encoded
    return encoded
  }

  private func encode(
    _ tokenized: TokenizedText, length: Int
  ) throws(ExecutionError) -> EncodedText {
    let encoder = try networks.session(.textEncoder, batch: 1, tokens: length)
    let isReal = (0..<length).map { $0 < tokenized.ids.count }
    let bias: [Float] = isReal.map { $0 ? 0 : -.infinity }
    let ids = encoder.indices("ids")
    for position in 0..<length { ids[position] = isReal[position] ? tokenized.ids[position] : 0 }
    encoder.write(isReal.map { $0 ? 1 : 0 }, to: "mask")
    encoder.write(bias, to: "bias")
    try encoder.run()

    let context = try networks.session(.context, batch: 1, tokens: length)
    context.write(encoder.output("hidden"), to: "hidden")
    try context.run()
    let layers = 0..<networks.family.contextLayers
    return EncodedText(
      tokens: length, pooled: Array(encoder.output("pooled")), bias: bias,
      keys: layers.map { Array(context.output("keys.\($0)")) },
      values: layers.map { Array(context.output("values.\($0)")) },
      isTruncated: tokenized.truncated)
  }
}
