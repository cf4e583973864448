/// The network of a model that an update changes.
package enum PeelNetwork: Hashable, Comparable, Sendable, CustomStringConvertible {
  case denoiser
  /// The first text encoder is 1.
  case textEncoder(Int)

  package var description: String {
    switch self {
    case .denoiser: "denoiser"
    case .textEncoder(1): "text encoder"
    case .textEncoder(let number): "text encoder \(number)"
    }
  }
}

/// What the name of a tensor in a LoRA file says.
///
/// PEFT writes `base_model.model.layers.0.qkv.lora_A.weight`, or with the adapter's name
/// `….lora_A.default.weight`; diffusers `transformer.layers.0.qkv.lora_A.weight`,
/// `….lora.down.weight` or `….processor.to_q_lora.down.weight`; kohya's sd-scripts
/// `lora_unet_layers_0_qkv.lora_down.weight` beside a scalar `….alpha`, and LyCORIS
/// `lycoris_layers_0_qkv.…`, whose algebras have other parts than two factors. What wrapped the
/// network while it was trained may stand in between: `_orig_mod` of torch.compile, `module` of
/// DistributedDataParallel.
struct PeelName: Hashable {
  enum Part: String, Hashable {
    /// `[rank, in]`.
    case down
    /// `[out, rank]`.
    case up
    /// The numerator of the scale `alpha / rank`.
    case alpha
    /// `[rank, inner, y, x]`, between the two.
    case core = "lora_mid"
    case hadamardUp1 = "hada_w1_a"
    case hadamardDown1 = "hada_w1_b"
    case hadamardCore1 = "hada_t1"
    case hadamardUp2 = "hada_w2_a"
    case hadamardDown2 = "hada_w2_b"
    case hadamardCore2 = "hada_t2"
    case kronecker1 = "lokr_w1"
    case kroneckerUp1 = "lokr_w1_a"
    case kroneckerDown1 = "lokr_w1_b"
    case kronecker2 = "lokr_w2"
    case kroneckerUp2 = "lokr_w2_a"
    case kroneckerDown2 = "lokr_w2_b"
    case kroneckerCore2 = "lokr_t2"
    /// What the lengths of the changed weight's rows are, `[out]`.
    case magnitude = "dora_scale"
    /// What is added to the bias, `[out]`.
    case shift = "diff_b"
    /// What inputs or outputs are multiplied by, less 1, and which of them.
    case scaling = "weight"
    case isOnInput = "on_input"
  }

  enum Problem: Error, Equatable {
    /// A form of change that is not a plain LoRA, as people call it.
    case unsupported(String)
    case unknown
  }

  let network: PeelNetwork
  /// The network as the file calls it: `transformer`, `unet`, `text_encoder`, or empty.
  let root: String
  /// The layer without its root: with dots, or as kohya writes it with underscores only.
  let target: String
  let part: Part

  init(_ name: String) throws(Problem) {
    let components = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let (stem, part) = try Self.part(components) else { throw .unknown }
    self.part = part
    (network, root, target) = PeelRoots.strip(stem)
    if target.isEmpty || target.utf8.count > Self.longestTarget { throw .unknown }
  }

  /// Bytes of a layer's name.
  private static let longestTarget = 512

  private static let parts: [Substring: Part] = {
    let own: [Part] = [
      .core, .hadamardUp1, .hadamardDown1, .hadamardCore1, .hadamardUp2, .hadamardDown2,
      .hadamardCore2, .kronecker1, .kroneckerUp1, .kroneckerDown1, .kronecker2, .kroneckerUp2,
      .kroneckerDown2, .kroneckerCore2, .magnitude, .shift, .isOnInput,
    ]
    return Dictionary(uniqueKeysWithValues: own.map { (Substring($0.rawValue), $0) }).merging([
      "lora_A": .down, "lora_B": .up, "lora_down": .down, "lora_up": .up,
      "lora_magnitude_vector": .magnitude,
    ]) { $1 }
  }()
  /// What stands in front of `down` and `up`.
  private static let markers: Set<Substring> = ["lora", "lora_linear_layer"]

  /// Splits `layer.lora_A.adapter.weight` into the layer's components and the part.
  private static func part(
    _ name: [Substring]
  ) throws(Problem) -> (stem: [Substring], part: Part)? {
    var components = name
    if components.last == "alpha" {
      components.removeLast()
      if let marker = components.last, markers.contains(marker) { components.removeLast() }
      return (components, .alpha)
    }
    let isWeight = components.last == "weight"
    if isWeight { components.removeLast() }
    // `lora_A.weight`, or with an adapter's name between the two, which has no dots.
    for _ in 0..<(isWeight ? 2 : 1) {
      guard let last = components.popLast() else { break }
      if let part = parts[last] { return (components, part) }
      if let direction = Self.direction(last), let marker = components.last {
        if markers.contains(marker) { return (components.dropLast(), direction) }
        if marker.hasSuffix("_lora") { return (oldLayer(components), direction) }
      }
    }
    if let form = form(of: name) { throw .unsupported(form) }
    return isWeight ? (name.dropLast(), .scaling) : nil
  }

  private static func direction(_ component: Substring) -> Part? {
    component == "down" ? .down : component == "up" ? .up : nil
  }

  /// The layer that diffusers' old attention processors call `….processor.to_q_lora`.
  private static func oldLayer(_ components: [Substring]) -> [Substring] {
    var layer = components
    let name = layer.removeLast().dropLast("_lora".count)
    if layer.last == "processor" { layer.removeLast() }
    return layer + (name == "to_out" ? ["to_out", "0"] : [name])
  }

  /// What people call the form that has such a tensor.
  private static func form(of components: [Substring]) -> String? {
    let forms: [(form: String, isSign: (Substring) -> Bool)] = [
      ("OFT", { $0.hasPrefix("oft_") || $0.hasPrefix("boft_") }),
      ("(IA)³ as PEFT writes it", { $0.hasPrefix("ia3_") }),
      ("VeRA", { $0.hasPrefix("vera_") }), ("AdaLoRA", { $0 == "lora_E" }),
      ("GLoRA", { ["a1", "a2", "b1", "b2", "bm1", "bm2"].contains($0) }),
      ("A LoRA of embeddings", { $0.hasPrefix("lora_embedding_") }),
      ("An embedding (textual inversion)", { $0 == "emb_params" }),
      ("A peel with whole layers", { $0 == "modules_to_save" }),
      (
        "A peel with whole differences of weights",
        { ["diff", "w_norm", "b_norm", "set_weight"].contains($0) }
      ),
      ("A LoRA in 8 bits (scale_weight)", { $0.hasPrefix("scale_weight") }),
      ("A LoRA that changes shapes (reshape_weight)", { $0 == "reshape_weight" }),
    ]
    for (form, isSign) in forms where components.contains(where: isSign) { return form }
    let hasFactor = components.contains { parts[$0] == .up || parts[$0] == .down || $0 == "lora" }
    return hasFactor && components.last == "bias" ? "A LoRA with biases" : nil
  }
}

/// What stands in front of a network's own names of layers.
private enum PeelRoots {
  /// Components that name no network, or that wrap one.
  private static let wrappers: Set<Substring> = [
    "base_model", "model", "module", "_orig_mod", "pipe", "pipeline", "net",
    "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer", "lora",
  ]
  /// Wrappers that never are a layer's own name.
  private static let transparent: Set<Substring> = [
    "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer",
  ]
  private static let networks: [Substring: PeelNetwork] = [
    "diffusion_model": .denoiser, "transformer": .denoiser, "unet": .denoiser,
    "denoiser": .denoiser, "dit": .denoiser,
    "text_encoder": .textEncoder(1), "text_encoder_1": .textEncoder(1),
    "text_encoder_2": .textEncoder(2), "text_encoder_3": .textEncoder(3),
    "te": .textEncoder(1), "te1": .textEncoder(1), "te2": .textEncoder(2), "te3": .textEncoder(3),
    "cond_stage_model": .textEncoder(1), "conditioner": .textEncoder(1),
    "text_encoders": .textEncoder(1), "clip_l": .textEncoder(1), "clip_g": .textEncoder(2),
  ]
  /// The same in names with underscores only, the longest first.
  private static let prefixes: [(text: String, network: PeelNetwork)] = [
    ("lora_transformer_", .denoiser), ("lora_denoiser_", .denoiser),
    ("lora_prior_unet_", .denoiser),
    ("lora_prior_te_", .textEncoder(1)), ("lora_unet_", .denoiser), ("lora_te1_", .textEncoder(1)),
    ("lora_te2_", .textEncoder(2)), ("lora_te3_", .textEncoder(3)), ("lora_te_", .textEncoder(1)),
    ("lycoris_text_encoder_2_", .textEncoder(2)), ("lycoris_text_encoder_", .textEncoder(1)),
    ("lycoris_unet_", .denoiser), ("lycoris_transformer_", .denoiser), ("lycoris_", .denoiser),
  ]
  private static let flatWrappers = [
    "_orig_mod_", "base_model_model_", "diffusion_model_", "module_",
  ]

  static func strip(
    _ stem: [Substring]
  ) -> (network: PeelNetwork, root: String, target: String) {
    var rest = stem.filter { !transparent.contains($0) }[...]
    var network = PeelNetwork.denoiser
    var root = ""
    while let first = rest.first {
      if let found = networks[first] {
        (network, root) = (found, String(first))
      } else if let (found, name, layer) = flat(first) {
        (network, root) = (found, name)
        rest = [layer] + rest.dropFirst()
        break
      } else if !wrappers.contains(first) {
        break
      }
      rest.removeFirst()
    }
    if var first = rest.popFirst() {
      while let wrapper = flatWrappers.first(where: { first.hasPrefix($0) }) {
        first = first.dropFirst(wrapper.count)
      }
      rest = [first] + rest
    }
    return (network, root, rest.joined(separator: "."))
  }

  /// The network and the layer of a name as kohya writes it.
  private static func flat(
    _ name: Substring
  ) -> (network: PeelNetwork, root: String, layer: Substring)? {
    guard let prefix = prefixes.first(where: { name.hasPrefix($0.text) }) else { return nil }
    return (
      prefix.network, String(prefix.text.dropLast()), name.dropFirst(prefix.text.count)
    )
  }
}
