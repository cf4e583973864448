/// The extents of transformers' `CLIPTextModel`, from the fields of its `config.json`.
package struct CLIPTextConfiguration: Hashable, Sendable {
  enum Activation: String, CaseIterable, Hashable, Sendable {
    case gelu
    case quickGELU = "quick_gelu"
  }

  package var vocabularySize: Int
  package var width: Int
  package var layers: Int
  var heads: Int
  var hiddenWidth: Int
  package var maximumPositions: Int
  var activation: Activation
  var normEpsilon: Float
}

extension CLIPTextConfiguration {
  /// - Throws: `ConfigurationError` for fields of which no network can be made.
  package init(_ configuration: DiffusersConfiguration) throws(ConfigurationError) {
    let fields = DiffusersFields(component: "text encoder", configuration: configuration)
    vocabularySize = try fields.integer("vocab_size", default: 49_408, in: 1...(1 << 20))
    width = try fields.integer("hidden_size", default: 512, in: 1...65_536)
    layers = try fields.integer("num_hidden_layers", default: 12, in: 1...256)
    heads = try fields.integer("num_attention_heads", default: 8, in: 1...1024)
    hiddenWidth = try fields.integer("intermediate_size", default: 2048, in: 1...65_536)
    maximumPositions = try fields.integer("max_position_embeddings", default: 77, in: 1...65_536)
    activation = try fields.choice("hidden_act", default: .quickGELU)
    normEpsilon = try fields.number("layer_norm_eps", default: 1e-5)
    try fields.check(
      width.isMultiple(of: heads), "num_attention_heads",
      "the \(width) channels of hidden_size do not split into so many heads")
  }
}
