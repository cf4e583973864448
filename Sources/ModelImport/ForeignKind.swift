import Weights

/// What is told apart so that people read what they have, and not which tensor was missed.
enum ForeignKind {
  static let remedy =
    "Banana draws with checkpoints of the Stable Diffusion 1 and 2 families "
    + "(also pruned and distilled ones: tiny-sd, SDXS, LCM, SD-Turbo): import one of these."

  /// - Parameter pipeline: The class in a folder's `model_index.json`.
  static func describe(pipeline: String) -> String {
    let known = [
      "StableDiffusionXL": "a checkpoint of SDXL", "StableDiffusion3": "a checkpoint of SD 3",
      "Flux": "a checkpoint of FLUX", "StableDiffusionUpscale": "an upscaler by diffusion",
      "StableDiffusionInstructPix2Pix": "a checkpoint for edits by instruction (pix2pix)",
      "StableDiffusionDepth": "a checkpoint that reads depth",
      "StableDiffusionControlNet": "a checkpoint with a ControlNet",
    ]
    let found = known.filter { pipeline.hasPrefix($0.key) }.max { $0.key.count < $1.key.count }
    return "\(found?.value ?? "a checkpoint of another family") (\(pipeline.excerpt))"
  }

  /// A mark in the names of a file's tensors, and what has it.
  private static let marks: [(mark: String, what: String)] = [
    ("conditioner.embedders.1.", "a checkpoint of SDXL"),
    ("model.diffusion_model.label_emb.", "a checkpoint of SDXL, or an upscaler by diffusion"),
    ("conditioner.embedders.", "a checkpoint of SDXL's refiner, or of another family"),
    ("joint_blocks.", "a checkpoint of SD 3"),
    ("double_blocks.", "a checkpoint of FLUX"),
    ("double_stream_", "a checkpoint of FLUX"),
    ("single_transformer_blocks.", "a transformer of FLUX or SD 3"),
    ("caption_projection.", "a transformer of PixArt or SANA"),
    ("cap_embedder.", "a transformer of Z-Image or Lumina"),
    ("control_model.", "a ControlNet"),
    ("controlnet_", "a ControlNet"),
    ("motion_modules.", "a module for animation"),
  ]

  /// What a single file is if it is no checkpoint of these families, and what to do.
  static func find(_ names: [String]) -> (what: String, remedy: String)? {
    func has(_ part: String) -> Bool { names.contains { $0.contains(part) } }
    let isPeel = names.contains {
      $0.contains("lora_") || $0.contains(".lora.") || $0.contains("hada_w1")
        || $0.contains("lokr_w1")
    }
    if isPeel {
      return ("a LoRA", "It changes a model: install it as a peel with banana peel install.")
    }
    if let (_, what) = marks.first(where: { has($0.mark) }) { return (what, remedy) }
    if names.contains(where: { $0.hasPrefix("model.diffusion_model.") }) { return nil }
    if ["emb_params", "string_to_param", "clip_l"].contains(where: has) || names.count == 1 {
      return ("a textual inversion", "It is no model by itself: import a checkpoint.")
    }
    if has("conv_first.") || has("body.0.weight") || has("model.1.sub.") {
      return ("an upscaler", "It draws nothing: import a checkpoint.")
    }
    if has("down_blocks.") && has("conv_in.weight") && has("time_embedding.") {
      return (
        "a UNet alone, in diffusers' names",
        "Give the folder that its folder unet is in, with text_encoder and vae."
      )
    }
    if has("decoder.") && (has("decoder.conv_out.") || has("decoder.layers.")) {
      return ("an autoencoder alone", "Give it beside a checkpoint, with --autoencoder.")
    }
    if has("text_model.") { return ("a text encoder alone", "Import a whole checkpoint.") }
    return ("no checkpoint of a known kind", remedy)
  }
}
