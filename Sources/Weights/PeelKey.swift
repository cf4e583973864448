/// What the name of a tensor in a LoRA file says.
///
/// PEFT writes `base_model.model.layers.0.qkv.lora_A.weight`, diffusers
/// `transformer.layers.0.qkv.lora_A.weight` or `….lora.down.weight`, and kohya's sd-scripts
/// `lora_unet_layers_0_qkv.lora_down.weight` beside a scalar `….alpha`.
struct PeelKey: Hashable {
  enum Part: String, Hashable, CaseIterable {
    /// `[rank, in]`.
    case down
    /// `[out, rank]`.
    case up
    /// The numerator of the scale `alpha / rank`.
    case alpha
  }

  /// The layer without its root: with dots, or as kohya writes it with underscores only.
  let target: String
  let part: Part

  private static let suffixes: [(text: String, part: Part)] = [
    (".lora_A.weight", .down), (".lora_B.weight", .up),
    (".lora_A.default.weight", .down), (".lora_B.default.weight", .up),
    (".lora_down.weight", .down), (".lora_up.weight", .up),
    (".lora.down.weight", .down), (".lora.up.weight", .up),
    (".lora_linear_layer.down.weight", .down), (".lora_linear_layer.up.weight", .up),
    (".alpha", .alpha),
  ]

  /// What stands in front of a network's own names; each at most once, in this order.
  private static let roots = [
    "base_model.model.", "model.", "diffusion_model.", "transformer.", "unet.", "denoiser.",
    "lora_unet_", "lora_transformer_", "lora_denoiser_",
  ]

  /// Nil if the name is in none of the styles.
  init?(_ name: String) {
    guard let suffix = Self.suffixes.first(where: { name.hasSuffix($0.text) }) else { return nil }
    var target = name.dropLast(suffix.text.count)
    for root in Self.roots where target.hasPrefix(root) { target = target.dropFirst(root.count) }
    if target.isEmpty { return nil }
    self.target = String(target)
    part = suffix.part
  }
}
