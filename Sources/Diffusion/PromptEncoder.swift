import Execution
import Models
import Text

/// What a denoiser is given of a prompt: it does not change over the steps.
struct EncodedPrompt {
  /// Tokens of each text, padding included.
  let tokens: Int
  /// What text and conditioning networks gave for one picture, by name.
  let tensors: [String: [Float]]
  let isTruncated: Bool
}

/// Turns prompts into what the denoiser is given of them.
final class PromptEncoder {
  private let model: LoadedModel
  private let networks: BoundModel
  /// What the text networks make of the empty text at each length: guidance needs it for every
  /// picture.
  private var empty: [Int: EncodedPrompt] = [:]

  init(model: LoadedModel, networks: BoundModel) {
    self.model = model
    self.networks = networks
  }

  /// Encodes a text.
  /// - Parameter tokens: What it is padded to.
  func encode(
    _ text: String, tokens: Int, peels: PeelMix?
  ) throws(ExecutionError) -> EncodedPrompt {
    if text.isEmpty, let empty = empty[tokens] { return try conditioned(empty, peels: peels) }
    let encoded = try self.text(model.tokenized(text), tokens: tokens, peels: peels)
    if text.isEmpty, !model.textIsOpenToPeels { empty[tokens] = encoded }
    return try conditioned(encoded, peels: peels)
  }

  /// What the text networks make of tokens.
  private func text(
    _ tokenized: [String: TokenizedText], tokens: Int, peels: PeelMix?
  ) throws(ExecutionError) -> EncodedPrompt {
    var tensors: [String: [Float]] = [:]
    for network in model.family.promptNetworks {
      guard case .text(let tokenizer) = network.role else { continue }
      let session = try networks.session(
        network.name, Extents(batch: 1, tokens: tokens), peels: peels)
      session.write(tokenized[tokenizer]!, padding: tokens, to: model.inputs(of: network.name))
      try session.run()
      for name in model.outputs(of: network.name) { tensors[name] = session.read(name) }
    }
    return EncodedPrompt(
      tokens: tokens, tensors: tensors, isTruncated: tokenized.values.contains(where: \.truncated))
  }

  /// Adds what the conditioning networks make of a text.
  private func conditioned(
    _ text: EncodedPrompt, peels: PeelMix?
  ) throws(ExecutionError) -> EncodedPrompt {
    var tensors = text.tensors
    for network in model.family.networks(.conditioning) {
      let session = try networks.session(
        network.name, Extents(batch: 1, tokens: text.tokens), peels: peels)
      for name in model.inputs(of: network.name) { session.write(tensors[name]!, to: name) }
      try session.run()
      for name in model.outputs(of: network.name) { tensors[name] = session.read(name) }
    }
    return EncodedPrompt(
      tokens: text.tokens, tensors: tensors.filter { model.conditioningInputs.contains($0.key) },
      isTruncated: text.isTruncated)
  }
}

extension Session {
  /// Writes tokens and what says which of them are padding.
  fileprivate func write(_ text: TokenizedText, padding tokens: Int, to inputs: [String]) {
    let isReal = (0..<tokens).map { $0 < text.ids.count }
    for name in inputs {
      switch name {
      case "ids":
        let padding = repeatElement(Int32(0), count: tokens - text.ids.count)
        write(indices: text.ids + padding, to: name)
      case "mask": write(isReal.map { $0 ? 1 : 0 }, to: name)
      case "bias": write(isReal.map { $0 ? 0 : -.infinity }, to: name)
      default: preconditionFailure("tokenizers give no \"\(name)\"")
      }
    }
  }
}
