import Models
import TensorTypes

/// An autoencoder by itself, which takes the place of a checkpoint's: Stable Diffusion's or the
/// tiny one (TAESD), as a folder of diffusers or as files with the names of their authors.
enum AutoencoderSource {
  /// - Parameter paths: A folder or a file, or two files with the halves of a tiny one.
  static func component(_ paths: [String]) throws(ImportError) -> Component {
    if paths.count == 1, FileFacts(paths[0]).isFolder {
      return try DiffusersFolder.component(.autoencoder, folder: paths[0], of: paths[0])
    }
    var halves: [TensorTable] = []
    for path in paths { halves.append(try TensorTable(path: path, files: [path])) }
    let table = halves.count == 1 ? halves[0] : try joined(halves)
    let names = table.tensors.keys
    func has(_ prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }
    if has("first_stage_model.") {
      return SingleFile.autoencoder(table.under("first_stage_model."))
    }
    if has("encoder.down.") || has("decoder.up.") { return SingleFile.autoencoder(table) }
    if has("encoder.down_blocks.") { return try diffusers(table) }
    if let tiny = tiny(table) { return tiny }
    throw .otherKind(
      path: table.path, what: "no autoencoder that is known",
      remedy: "Give one of Stable Diffusion (vae-ft-mse, …), TAESD's two files "
        + "(--autoencoder taesd_encoder.safetensors --autoencoder taesd_decoder.safetensors), or "
        + "its folder of diffusers.")
  }

  /// The two halves of a tiny autoencoder, told apart by what they read.
  private static func joined(_ halves: [TensorTable]) throws(ImportError) -> TensorTable {
    var all = TensorTable(path: halves.map(\.path).joined(separator: " and "))
    for half in halves {
      let prefix = half.tensors["0.weight"] != nil ? "encoder." : "decoder."
      let isWhole = half.tensors.keys.contains { $0.hasPrefix("encoder.") }
      try all.add(half) { isWhole ? $0 : prefix + $0 }
    }
    return all
  }

  /// With the names of diffusers, in one file.
  private static func diffusers(_ table: TensorTable) throws(ImportError) -> Component {
    // Of Stable Diffusion's: a file of another would contradict this.
    let configuration: JSONTree = [
      "_class_name": "AutoencoderKL", "act_fn": "silu", "norm_num_groups": 32,
      "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4,
      "in_channels": 3, "out_channels": 3, "scaling_factor": 0.18215,
      "down_block_types": JSONTree(Array(repeating: "DownEncoderBlock2D", count: 4)),
      "up_block_types": JSONTree(Array(repeating: "UpDecoderBlock2D", count: 4)),
    ]
    return Component(
      .autoencoder, configuration: configuration, table: table,
      places: DiffusersNames.places(.autoencoder))
  }

  /// A tiny autoencoder, by diffusers' names or those of its author, which number the decoder's
  /// layers one higher.
  private static func tiny(_ table: TensorTable) -> Component? {
    let isDiffusers = table.tensors.keys.contains { $0.hasPrefix("decoder.layers.") }
    let isOriginal = table.tensors["decoder.1.weight"] != nil
    guard isDiffusers || isOriginal else { return nil }
    let shapes = table.shapes
    func places(_ name: String) -> [TensorPlace] {
      if isDiffusers { return [TensorPlace(name)] }
      let parts = name.split(separator: ".", maxSplits: 3)
      guard parts.count == 4, let layer = Int(parts[2]) else { return [TensorPlace(name)] }
      return [TensorPlace("\(parts[0]).\(parts[0] == "decoder" ? layer + 1 : layer).\(parts[3])")]
    }
    func shape(_ name: String) -> Shape? { shapes[places(name)[0].name] }
    func hasBlock(_ half: String, _ layer: Int) -> Bool {
      shape("\(half).layers.\(layer).conv.0.weight") != nil
    }
    let first = shape("decoder.layers.0.weight")
    return Component(
      .autoencoder,
      configuration: [
        "_class_name": "AutoencoderTiny", "act_fn": "relu", "in_channels": 3, "out_channels": 3,
        "latent_channels": .number(Double(first?.inputs ?? 0)),
        "encoder_block_out_channels": widths(
          first,
          stages(from: 0, step: 1) {
            hasBlock("encoder", $0)
          }.count),
        "decoder_block_out_channels": widths(
          first,
          stages(from: 2, step: 2) {
            hasBlock("decoder", $0)
          }.count),
        "num_encoder_blocks": JSONTree(stages(from: 0, step: 1) { hasBlock("encoder", $0) }),
        "num_decoder_blocks": JSONTree(stages(from: 2, step: 2) { hasBlock("decoder", $0) }),
        "scaling_factor": 1, "shift_factor": 0, "latent_magnitude": 3, "latent_shift": 0.5,
        "upsampling_scaling_factor": 2,
      ], table: table, places: places)
  }

  private static func widths(_ first: Shape?, _ stages: Int) -> JSONTree {
    JSONTree(Array(repeating: first?.outputs ?? 0, count: stages))
  }

  /// The numbers of blocks that follow each other without another layer between them.
  private static func stages(
    from start: Int, step: Int, _ isBlock: (Int) -> Bool
  ) -> [Int] {
    var counts: [Int] = []
    var layer = start + (step == 1 ? 1 : 0)
    while counts.count < 8 {
      var count = 0
      while count < 64, isBlock(layer) {
        count += 1
        layer += 1
      }
      if count == 0 { break }
      counts.append(count)
      layer += step
    }
    return counts
  }
}
