import Models
import TensorTypes

/// The autoencoder of a single file, by the names of Esser et al.'s code (taming transformers).
struct LDMAutoencoder {
  private let shapes: [String: Shape]

  /// - Parameter shapes: Of all tensors, by names without `first_stage_model.`.
  init(_ shapes: [String: Shape]) { self.shapes = shapes }

  private static let attention = [
    "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
  ]

  private var levels: Int {
    (0..<16).first { shapes["decoder.up.\($0).block.0.conv1.weight"] == nil } ?? 16
  }

  /// What the file calls a weight of diffusers' name.
  func name(_ name: String) -> String {
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count > 2 else { return name }
    let (half, last) = (parts[0], parts[parts.count - 1])
    if parts[1] == "conv_norm_out" { return "\(half).norm_out.\(last)" }
    guard parts.count > 4 else { return name }
    if parts[1] == "mid_block", let index = Int(parts[3]) {
      let rest = parts[4...].joined(separator: ".")
      return parts[2] == "resnets"
        ? "\(half).mid.block_\(index + 1).\(Self.inResidual(rest))"
        : "\(half).mid.attn_\(index + 1).\(Self.inAttention(rest))"
    }
    guard parts.count > 5, var index = Int(parts[2]) else { return name }
    let isDown = parts[1] == "down_blocks"
    // Levels are counted from the finest on both ways.
    if !isDown { index = levels - 1 - index }
    let level = "\(half).\(isDown ? "down" : "up").\(index)"
    let rest = parts[5...].joined(separator: ".")
    return parts[3] == "resnets"
      ? "\(level).block.\(parts[4]).\(Self.inResidual(rest))"
      : "\(level).\(isDown ? "downsample" : "upsample").\(rest)"
  }

  private static func inResidual(_ rest: String) -> String {
    rest.hasPrefix("conv_shortcut.") ? "nin_shortcut." + rest.dropFirst(14) : rest
  }

  private static func inAttention(_ rest: String) -> String {
    for (ours, theirs) in attention where rest.hasPrefix(ours + ".") {
      return theirs + rest.dropFirst(ours.count)
    }
    return rest
  }

  /// The fields of diffusers' `vae/config.json` that the shapes tell.
  var configuration: JSONTree {
    let levels = levels
    let widths = (0..<levels).map { level in
      shapes["decoder.up.\(level).block.0.conv2.weight"]?.outputs ?? 0
    }
    let layers = (0..<17).first { shapes["decoder.up.0.block.\($0).conv1.weight"] == nil } ?? 17
    return [
      "_class_name": "AutoencoderKL", "act_fn": "silu", "norm_num_groups": 32,
      "block_out_channels": JSONTree(widths), "layers_per_block": .number(Double(layers - 1)),
      "in_channels": .number(Double(shapes["encoder.conv_in.weight"]?.inputs ?? 3)),
      "out_channels": .number(Double(shapes["decoder.conv_out.weight"]?.outputs ?? 3)),
      "latent_channels": .number(Double(shapes["decoder.conv_in.weight"]?.inputs ?? 4)),
      "down_block_types": JSONTree(Array(repeating: "DownEncoderBlock2D", count: levels)),
      "up_block_types": JSONTree(Array(repeating: "UpDecoderBlock2D", count: levels)),
      "mid_block_add_attention": .flag(shapes["decoder.mid.attn_1.q.weight"] != nil),
      "use_quant_conv": .flag(shapes["quant_conv.weight"] != nil),
      "use_post_quant_conv": .flag(shapes["post_quant_conv.weight"] != nil),
      "scaling_factor": 0.18215,
    ]
  }
}
