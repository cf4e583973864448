import Execution
import Graph
import Models
import TensorTypes
import Text

/// What a denoiser is given of a prompt: it does not change over the steps.
struct EncodedPrompt {
  /// Tokens of each text, padding included.
  let tokens: Int
  /// What text and conditioning networks gave for one picture, by name.
  let tensors: [String: [Float]]
  /// What the model did not read; nil if it read everything.
  let omittedText: String?
}

/// Turns prompts into what the denoiser is given of them.
final class PromptEncoder {
  private let model: LoadedModel
  private let networks: BoundModel
  /// What the text networks made of the empty text last, which guidance needs for every picture:
  /// one, as requests choose lengths and layers, and each takes up to megabytes.
  private var empty: (text: EncodedPrompt, skippedLayers: Int)?

  init(model: LoadedModel, networks: BoundModel) {
    self.model = model
    self.networks = networks
  }

  /// Encodes a text.
  /// - Parameters:
  ///   - words: The embeddings that it may name.
  ///   - tokens: What it is padded to.
  ///   - skippedLayers: Layers that the text networks leave out at their end.
  func encode(
    _ text: TokenizedText, words: [PeelUse] = [], tokens: Int, skippedLayers: Int, peels: PeelMix?
  ) throws(ExecutionError) -> EncodedPrompt {
    let isKept = text.isEmpty && (peels == nil || !model.textIsOpenToPeels)
    if isKept, let empty, (empty.text.tokens, empty.skippedLayers) == (tokens, skippedLayers) {
      return try conditioned(empty.text, peels: peels)
    }
    let encoded = try self.text(
      text, Extents(batch: 1, tokens: tokens, skippedLayers: skippedLayers),
      words: words, peels: peels)
    if isKept { empty = (encoded, skippedLayers) }
    return try conditioned(encoded, peels: peels)
  }

  /// What the text networks make of tokens.
  private func text(
    _ text: TokenizedText, _ whole: Extents, words: [PeelUse], peels: PeelMix?
  ) throws(ExecutionError) -> EncodedPrompt {
    var tensors: [String: [Float]] = [:]
    var textEncoder = 0
    for network in model.family.promptNetworks {
      guard case .text(let tokenizer) = network.role else { continue }
      textEncoder += 1
      var extents = whole
      extents.tokens = model.facts.tokenizer(tokenizer).tokensAtOnce(of: whole.tokens)
      let vocabularySize = model.facts.tokenizer(tokenizer).vocabularySize
      var chunks = text[tokenizer]!.chunks
      while chunks.count < whole.tokens / extents.tokens {
        chunks += model.tokenizedEmptyText(tokenizer).chunks
      }
      for (index, chunk) in chunks.enumerated() {
        let embedded = EmbeddedChunk(
          chunk.ids, vocabularySize: vocabularySize, words: words, textEncoder: textEncoder)
        extents.vectors = embedded.vectors == nil ? 0 : Extents.mostVectors
        let session = try networks.session(network.name, extents, peels: peels)
        session.write(
          embedded.ids, padding: extents.tokens, to: model.inputs(of: network.name))
        if let vectors = embedded.vectors { session.write(vectors, to: "vectors") }
        try session.run()
        for output in session.plan.graph.outputs {
          var values = session.read(output.name)
          let isPerToken = output.value.shape.rank >= 2 && output.value.shape[1] == extents.tokens
          if isPerToken, let weights = chunk.weights { values.weigh(tokens: weights) }
          // What stands for a text as a whole is that of its first chunk.
          if index == 0 || isPerToken { tensors[output.name, default: []] += values }
        }
      }
    }
    return EncodedPrompt(
      tokens: whole.tokens, tensors: tensors,
      omittedText: text.omittedText)
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
      omittedText: text.omittedText)
  }
}

extension [Float] {
  /// Multiplies each token's numbers, `[token, channel]`, and takes their mean back to what it was,
  /// as AUTOMATIC1111's web UI does by default.
  fileprivate mutating func weigh(tokens weights: [Float]) {
    let channels = count / weights.count
    let mean = reduce(0, +)
    for index in indices { self[index] *= weights[index / channels] }
    let ratio = mean / reduce(0, +)
    if ratio.isFinite { for index in indices { self[index] *= ratio } }
  }
}

extension Session {
  /// Writes tokens and what says which of them are padding.
  fileprivate func write(_ ids: [Int32], padding tokens: Int, to inputs: [String]) {
    let isReal = (0..<tokens).map { $0 < ids.count }
    for name in inputs {
      switch name {
      case "ids":
        write(indices: ids + repeatElement(0, count: tokens - ids.count), to: name)
      case "mask": write(isReal.map { $0 ? 1 : 0 }, to: name)
      case "bias": write(isReal.map { $0 ? 0 : -.infinity }, to: name)
      default: preconditionFailure("tokenizers give no \"\(name)\"")
      }
    }
  }
}
