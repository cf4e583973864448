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

/// What the text encoder makes of a prompt, whatever peels there are.
private struct HiddenText {
  let tokens: Int
  /// `[token, width]`.
  let hidden: [Float]
  let pooled: [Float]
  let bias: [Float]
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
  private var empty: [Int: HiddenText] = [:]

  init(model: LoadedModel, networks: BoundModel) {
    tokenizer = model.tokenizer
    self.networks = networks
    maximumTokens = model.maximumTokens
  }

  /// Encodes a prompt.
  func encode(_ prompt: String, peels: PeelMix?) throws(ExecutionError) -> EncodedText {
    let tokenized = tokenizer.encode(prompt, maximumTokens: maximumTokens)
    let length = Self.length(of: tokenized.ids.count, maximumTokens: maximumTokens)
    return try context(hidden(tokenized, length: length), peels: peels)
  }

  /// Encodes the empty prompt, padded to the length of another one.
  func unconditional(length: Int, peels: PeelMix?) throws(ExecutionError) -> EncodedText {
    if empty[length] == nil {
      empty[length] = try hidden(
        tokenizer.encode("", maximumTokens: maximumTokens), length: length)
    }
    return try context(empty[length]!, peels: peels)
  }

  /// The length that so many tokens are padded to.
  static func length(of tokens: Int, maximumTokens: Int) -> Int {
    min(lengths.first { $0 >= tokens } ?? maximumTokens, maximumTokens)
  }

  private func hidden(
    _ tokenized: TokenizedText, length: Int
  ) throws(ExecutionError) -> HiddenText {
    let encoder = try networks.session(.textEncoder, batch: 1, tokens: length)
    let isReal = (0..<length).map { $0 < tokenized.ids.count }
    let bias: [Float] = isReal.map { $0 ? 0 : -.infinity }
    let padding = Array(repeating: Int32(0), count: length - tokenized.ids.count)
    encoder.write(indices: tokenized.ids + padding, to: "ids")
    encoder.write(isReal.map { $0 ? 1 : 0 }, to: "mask")
    encoder.write(bias, to: "bias")
    try encoder.run()
    return HiddenText(
      tokens: length, hidden: encoder.read("hidden"),
      pooled: encoder.read("pooled"), bias: bias, isTruncated: tokenized.truncated)
  }

  private func context(
    _ text: HiddenText, peels: PeelMix?
  ) throws(ExecutionError) -> EncodedText {
    let context = try networks.session(.context, batch: 1, tokens: text.tokens, peels: peels)
    context.write(text.hidden, to: "hidden")
    try context.run()
    let layers = 0..<networks.family.contextLayers
    return EncodedText(
      tokens: text.tokens, pooled: text.pooled, bias: text.bias,
      keys: layers.map { context.read("keys.\($0)") },
      values: layers.map { context.read("values.\($0)") },
      isTruncated: text.isTruncated)
  }
}
