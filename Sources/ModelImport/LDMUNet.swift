import Models
import TensorTypes

/// How a UNet is laid out in a single file: the blocks of Rombach et al.'s code (LDM) are numbered
/// through, and those that were pruned may leave their numbers free.
struct LDMUNet {
  /// A level's residual blocks by their numbers, and where its change of resolution is.
  struct Level: Equatable {
    var blocks: [Int] = []
    var hasAttention = false
    /// `3.0.op` or `5.1.conv`.
    var resampling: String?
  }

  /// From the finest to the coarsest.
  private(set) var down: [Level] = []
  /// From the coarsest to the finest.
  private(set) var up: [Level] = []
  private let shapes: [String: Shape]

  /// - Parameter shapes: Of all tensors, by names without `model.diffusion_model.`.
  init(_ shapes: [String: Shape]) {
    self.shapes = shapes
    down = Self.levels("input_blocks", in: shapes, resampling: ["0.op"])
    up = Self.levels("output_blocks", in: shapes, resampling: ["1.conv", "2.conv"])
  }

  private static func levels(
    _ name: String, in shapes: [String: Shape], resampling: [String]
  ) -> [Level] {
    let numbers = Set(
      shapes.keys.compactMap { key -> Int? in
        let parts = key.split(separator: ".", maxSplits: 2)
        return parts.count == 3 && parts[0] == name ? Int(parts[1]) : nil
      })
    var levels = [Level()]
    for number in numbers.sorted() {
      let block = "\(name).\(number)"
      if shapes["\(block).0.in_layers.2.weight"] != nil {
        levels[levels.count - 1].blocks.append(number)
        if shapes["\(block).1.norm.weight"] != nil { levels[levels.count - 1].hasAttention = true }
      }
      if let found = resampling.first(where: { shapes["\(block).\($0).weight"] != nil }) {
        levels[levels.count - 1].resampling = "\(number).\(found)"
        levels.append(Level())
      }
    }
    return levels
  }

  // Names.

  private static let residual = [
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
  ]
  private static let outside = [
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_embed.cond_proj", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
  ]

  /// What the file calls a weight of diffusers' name; where it has no place for it, that name.
  func name(_ name: String) -> String {
    for (ours, theirs) in Self.outside where name.hasPrefix(ours + ".") {
      return theirs + name.dropFirst(ours.count)
    }
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count > 3 else { return name }
    if parts[0] == "mid_block" { return middle(parts) ?? name }
    guard parts.count > 4, let index = Int(parts[1]), let layer = Int(parts[3]),
      let (side, levels) = side(parts[0]), levels.indices ~= index
    else { return name }
    let level = levels[index]
    let rest = parts[4...].joined(separator: ".")
    if parts[2].hasSuffix("samplers") {
      return level.resampling.map { "\(side).\($0).\(parts[parts.count - 1])" } ?? name
    }
    guard level.blocks.indices ~= layer else { return name }
    return parts[2] == "resnets"
      ? "\(side).\(level.blocks[layer]).0.\(Self.inResidual(rest))"
      : "\(side).\(level.blocks[layer]).1.\(rest)"
  }

  private func side(_ name: String) -> (String, [Level])? {
    switch name {
    case "down_blocks": ("input_blocks", down)
    case "up_blocks": ("output_blocks", up)
    default: nil
    }
  }

  private func middle(_ parts: [String]) -> String? {
    guard let layer = Int(parts[2]) else { return nil }
    let rest = parts[3...].joined(separator: ".")
    return parts[1] == "resnets"
      ? "middle_block.\(2 * layer).\(Self.inResidual(rest))"
      : "middle_block.\(2 * layer + 1).\(rest)"
  }

  private static func inResidual(_ rest: String) -> String {
    for (ours, theirs) in residual where rest.hasPrefix(ours + ".") {
      return theirs + rest.dropFirst(ours.count)
    }
    return rest
  }

  // Configuration.

  /// The fields of diffusers' `unet/config.json` that the names and shapes tell.
  ///
  /// They do not tell the heads: 8 of them in what came of Stable Diffusion 1, heads of 64 channels
  /// in what came of 2, whose text is 1024 wide.
  var configuration: JSONTree {
    let widths = down.map { width(of: $0) }
    let textWidth = shapes.first { $0.key.hasSuffix(".attn2.to_k.weight") }?.value.last ?? 0
    let isSecond = textWidth == 1024
    let projection = shapes.first { $0.key.hasSuffix(".1.proj_in.weight") }?.value
    var tree: JSONTree = [
      "_class_name": "UNet2DConditionModel", "act_fn": "silu", "norm_num_groups": 32,
      "in_channels": .number(Double(shapes["input_blocks.0.0.weight"]?.inputs ?? 0)),
      "out_channels": .number(Double(shapes["out.2.weight"]?.outputs ?? 0)),
      "cross_attention_dim": .number(Double(textWidth)),
      "use_linear_projection": .flag(projection?.rank == 2),
      "block_out_channels": JSONTree(widths),
      "layers_per_block": JSONTree(down.map(\.blocks.count)),
      "down_block_types": JSONTree(
        down.map { $0.hasAttention ? "CrossAttnDownBlock2D" : "DownBlock2D" }),
      "up_block_types": JSONTree(
        up.map { $0.hasAttention ? "CrossAttnUpBlock2D" : "UpBlock2D" }),
      "attention_head_dim": isSecond ? JSONTree(widths.map { max($0 / 64, 1) }) : 8,
      "transformer_layers_per_block": JSONTree(down.map(transformers)),
      "mid_block_type": middleType,
    ]
    if let guidance = shapes["time_embed.cond_proj.weight"] {
      tree["time_cond_proj_dim"] = .number(Double(guidance.inputs))
    }
    return tree
  }

  private func width(of level: Level) -> Int {
    level.blocks.first.flatMap { shapes["input_blocks.\($0).0.in_layers.2.weight"]?.outputs } ?? 0
  }

  /// Blocks of a level's transformers; 1 where it has none.
  private func transformers(of level: Level) -> Int {
    guard let block = level.blocks.first else { return 1 }
    let prefix = "input_blocks.\(block).1.transformer_blocks."
    let numbers = shapes.keys.filter { $0.hasPrefix(prefix) }
      .compactMap { Int($0.dropFirst(prefix.count).prefix { $0 != "." }) }
    return max(Set(numbers).count, 1)
  }

  private var middleType: JSONTree {
    if shapes["middle_block.1.norm.weight"] != nil { return "UNetMidBlock2DCrossAttn" }
    return shapes["middle_block.0.in_layers.0.weight"] != nil ? "UNetMidBlock2D" : .null
  }
}

extension Shape {
  var outputs: Int { rank > 0 ? self[0] : 0 }
  var inputs: Int { rank > 1 ? self[1] : 0 }
}
