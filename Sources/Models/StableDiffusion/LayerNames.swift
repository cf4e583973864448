/// The names that files of other origin have for the layers of Stable Diffusion's networks.
///
/// They are made from the layers that a network has, never the other way round: names in which
/// every dot is an underscore cannot be taken apart.
package enum LayerNames {
  /// Further names, each with the layer that is meant.
  /// - Parameter layers: Under diffusers' and transformers' names.
  package static func others(for layers: some Sequence<String>) -> [String: String] {
    let layers = Set(layers)
    var names: [String: String] = [:]
    for (place, other) in blocks(of: layers) {
      if layers.contains(place) { names[other] = place }
      for layer in layers where layer.hasPrefix(place + ".") {
        names["\(other).\(inner(String(layer.dropFirst(place.count + 1))))"] = layer
      }
    }
    for (layer, other) in ends where layers.contains(layer) { names[other] = layer }
    for layer in layers where layer.hasPrefix("text_model.") {
      names[String(layer.dropFirst("text_model.".count))] = layer
    }
    return names
  }

  /// Layers of a UNet in no block.
  private static let ends = [
    "conv_in": "input_blocks.0.0", "conv_out": "out.2", "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
  ]

  /// Where diffusers has a block, and where latent-diffusion, from which it comes, has it: Rombach
  /// et al. 2022, their `openaimodel.py`.
  private static func blocks(of layers: Set<String>) -> [(diffusers: String, other: String)] {
    let places = Set(layers.map { $0.split(separator: ".").prefix(4).joined(separator: ".") })
    func has(_ place: String) -> Bool {
      places.contains { $0 == place || $0.hasPrefix(place + ".") }
    }
    var blocks: [(String, String)] = []
    var number = 1
    for level in 0... {
      let down = "down_blocks.\(level)"
      guard has(down) else { break }
      for layer in 0... {
        guard has("\(down).resnets.\(layer)") else { break }
        blocks.append(("\(down).resnets.\(layer)", "input_blocks.\(number).0"))
        blocks.append(("\(down).attentions.\(layer)", "input_blocks.\(number).1"))
        number += 1
      }
      if has("\(down).downsamplers.0") {
        blocks.append(("\(down).downsamplers.0.conv", "input_blocks.\(number).0.op"))
        number += 1
      }
    }
    blocks += [
      ("mid_block.resnets.0", "middle_block.0"), ("mid_block.attentions.0", "middle_block.1"),
      ("mid_block.resnets.1", "middle_block.2"),
    ]
    number = 0
    for level in 0... {
      let up = "up_blocks.\(level)"
      guard has(up) else { break }
      for layer in 0... {
        guard has("\(up).resnets.\(layer)") else { break }
        blocks.append(("\(up).resnets.\(layer)", "output_blocks.\(number).0"))
        blocks.append(("\(up).attentions.\(layer)", "output_blocks.\(number).1"))
        number += 1
      }
      if has("\(up).upsamplers.0") {
        let place = has("\(up).attentions.0") ? 2 : 1
        blocks.append(
          ("\(up).upsamplers.0.conv", "output_blocks.\(number - 1).\(place).conv"))
      }
    }
    return blocks
  }

  /// A layer's name within its block; those of transformers are the same.
  private static func inner(_ layer: String) -> String {
    switch layer {
    case "conv1": "in_layers.2"
    case "conv2": "out_layers.3"
    case "time_emb_proj": "emb_layers.1"
    case "conv_shortcut": "skip_connection"
    default: layer
    }
  }
}
