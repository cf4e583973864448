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
  /// What the text networks make of the empty prompt at each length: guidance needs it for every
  /// picture.
  private var empty: [Int: EncodedPrompt] = [:]

  init(model: LoadedModel, networks: BoundModel) {
    self.model = model
    self.networks = networks
  }

  /// Encodes a prompt.
  func encode(_ prompt: String, peels: PeelMix?) throws(ExecutionError) -> EncodedPrompt {
    let tokenized = model.tokenized(prompt)
    return try conditioned(
      text(tokenized, tokens: model.paddedLength(of: tokenized), peels: peels), peels: peels)
  }

  /// Encodes the empty prompt, padded to the length of another one.
  func unconditional(tokens: Int, peels: PeelMix?) throws(ExecutionError) -> EncodedPrompt {
    if let empty = empty[tokens] { return try conditioned(empty, peels: peels) }
    let text = try text(model.tokenized(""), tokens: tokens, peels: peels)
    if !model.textIsOpenToPeels { empty[tokens] = text }
    return try conditioned(text, peels: peels)
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
