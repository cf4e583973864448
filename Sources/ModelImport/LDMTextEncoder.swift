import Models
import TensorTypes

/// The text encoder of a single file: CLIP as transformers saves it, or OpenCLIP's own.
struct LDMTextEncoder {
  enum Form: Hashable {
    case clip
    /// With queries, keys and values in one tensor, and all layers where Stable Diffusion 2 reads
    /// the last but one.
    case openCLIP
  }

  let form: Form
  private let shapes: [String: Shape]

  /// - Parameter shapes: Of all tensors, by names without what stands before the encoder's.
  init(_ form: Form, _ shapes: [String: Shape]) {
    self.form = form
    self.shapes = shapes
  }

  private static let openCLIP = [
    "layer_norm1.": "ln_1.", "layer_norm2.": "ln_2.", "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.", "self_attn.out_proj.": "attn.out_proj.",
  ]
  private static let outside = [
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
  ]
  private static let layers = "text_model.encoder.layers."

  func places(_ name: String) -> [TensorPlace] {
    if form == .clip {
      return [TensorPlace(name), TensorPlace(DiffusersNames.dropping("text_model.", from: name))]
    }
    if let theirs = Self.outside[name] { return [TensorPlace(theirs)] }
    guard name.hasPrefix(Self.layers) else { return [TensorPlace(name)] }
    let rest = name.dropFirst(Self.layers.count)
    let number = rest.prefix { $0 != "." }
    let inLayer = String(rest.dropFirst(number.count + 1))
    let block = "transformer.resblocks.\(number)"
    for (ours, theirs) in Self.openCLIP where inLayer.hasPrefix(ours) {
      return [TensorPlace("\(block).\(theirs)\(inLayer.dropFirst(ours.count))")]
    }
    for (part, projection) in ["q_proj", "k_proj", "v_proj"].enumerated()
    where inLayer.hasPrefix("self_attn.\(projection).") {
      let kind = inLayer.hasSuffix(".weight") ? "in_proj_weight" : "in_proj_bias"
      return [TensorPlace("\(block).attn.\(kind)", part: part, of: 3)]
    }
    return [TensorPlace(name)]
  }

  /// Whether a tensor is of the last layer of OpenCLIP's, whose result Stable Diffusion 2 does not
  /// read.
  func isUnread(_ name: String) -> Bool {
    form == .openCLIP && name.hasPrefix("transformer.resblocks.\(layerCount - 1).")
  }

  private var layerCount: Int {
    let prefix = form == .clip ? Self.layers : "transformer.resblocks."
    let numbers = shapes.keys.filter { $0.hasPrefix(prefix) }
      .compactMap { UInt16($0.dropFirst(prefix.count).prefix { $0 != "." }) }
    return Int(numbers.max() ?? 0) + 1
  }

  /// The fields of transformers' `CLIPTextConfig`; heads have 64 channels in all of CLIP's.
  var configuration: JSONTree {
    func shape(_ name: String) -> Shape? { places(name).lazy.compactMap { shapes[$0.name] }.first }
    let tokens = shape("text_model.embeddings.token_embedding.weight")
    let positions = shape("text_model.embeddings.position_embedding.weight")
    let width = tokens?.inputs ?? 0
    return [
      "vocab_size": .number(Double(tokens?.outputs ?? 0)), "hidden_size": .number(Double(width)),
      "max_position_embeddings": .number(Double(positions?.outputs ?? 0)),
      "intermediate_size": .number(
        Double(shape(Self.layers + "0.mlp.fc1.weight")?.outputs ?? 0)),
      "num_hidden_layers": .number(Double(form == .clip ? layerCount : layerCount - 1)),
      "num_attention_heads": .number(Double(max(width / 64, 1))),
      "hidden_act": form == .clip ? "quick_gelu" : "gelu", "layer_norm_eps": 1e-5,
    ]
  }
}
