/// What files of diffusers and transformers call a weight, today and before.
enum DiffusersNames {
  /// The names of diffusers before 0.18 for the attention of an autoencoder.
  private static let oldAttention = [
    "to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn",
  ]

  static func places(_ kind: Component.Kind) -> (String) -> [TensorPlace] {
    switch kind {
    case .unet: { [TensorPlace($0)] }
    case .textEncoder:
      // Some versions of transformers leave the model's name out.
      { name in [TensorPlace(name), TensorPlace(dropping("text_model.", from: name))] }
    case .autoencoder:
      { name in
        let old = oldAttention.first { name.contains(".attentions.0.\($0.key).") }
        return [TensorPlace(name)]
          + (old.map { [TensorPlace(replacing(".\($0.key).", with: ".\($0.value).", in: name))] }
            ?? [])
      }
    }
  }

  static func dropping(_ prefix: String, from name: String) -> String {
    name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
  }

  static func replacing(_ part: String, with other: String, in name: String) -> String {
    name.replacing(part, with: other)
  }
}
