import Models
import TensorTypes
import Weights

/// A checkpoint in one `.safetensors` file, with the names of Rombach et al.'s code (LDM).
struct SingleFile {
  private let table: TensorTable

  private var path: String { table.path }

  init(path: String) throws(ImportError) {
    table = try TensorTable(FileKind.openSafetensors(path))
  }

  init(_ file: SafetensorsFile) throws(ImportError) { table = try TensorTable(file) }

  private static let unet = "model.diffusion_model."
  private static let autoencoders = ["first_stage_model.", "vae."]
  private static let textEncoders: [(prefix: String, form: LDMTextEncoder.Form)] = [
    ("cond_stage_model.transformer.", .clip), ("cond_stage_model.model.", .openCLIP),
    ("conditioner.embedders.0.transformer.", .clip),
    ("conditioner.embedders.0.model.", .openCLIP),
  ]

  func checkpoint(
    vocabulary: String, hasOtherAutoencoder: Bool
  ) throws(ImportError) -> Checkpoint {
    if let (what, remedy) = ForeignKind.find(table.names) {
      throw .otherKind(path: path, what: what, remedy: remedy)
    }
    let text = Self.textEncoders.first { has($0.prefix) }
    let autoencoder = Self.autoencoders.first(where: has)
    guard let text else {
      throw .missingPart(path: path, part: "text encoder (cond_stage_model…)")
    }
    if autoencoder == nil && !hasOtherAutoencoder {
      throw .missingPart(
        path: path, part: "autoencoder (first_stage_model…; --autoencoder FILE gives one)")
    }
    try checkStrays(known: [Self.unet, text.prefix, autoencoder].compactMap { $0 })

    let textTable = table.under(text.prefix)
    var checkpoint = Checkpoint(
      path: path, textEncoder: Self.textEncoder(text.form, textTable),
      unet: try Self.unet(table.under(Self.unet)),
      autoencoder: Self.autoencoder(
        table.under(autoencoder ?? "first_stage_model.").renamed { $0 }),
      scheduler: Checkpoint.standardScheduler,
      vocabulary: try CheckpointVocabulary(merges: vocabulary, vocabulary: nil))
    if text.form == .openCLIP { checkpoint.vocabulary.padding = 0 }
    note(in: &checkpoint)
    return checkpoint
  }

  private func has(_ prefix: String) -> Bool {
    table.tensors.keys.contains { $0.hasPrefix(prefix) }
  }

  static func textEncoder(_ form: LDMTextEncoder.Form, _ table: TensorTable) -> Component {
    let names = LDMTextEncoder(form, table.shapes)
    return Component(
      .textEncoder, configuration: names.configuration,
      table: table.renamed { names.isUnread($0) ? nil : $0 }, places: names.places)
  }

  static func unet(_ table: TensorTable) throws(ImportError) -> Component {
    let names = LDMUNet(table.shapes)
    let channels = names.configuration["in_channels"]?.number
    if channels == 8 || channels == 5 {
      throw .otherKind(
        path: table.path,
        what: ForeignKind.describe(
          pipeline: channels == 8
            ? "StableDiffusionInstructPix2PixPipeline" : "StableDiffusionDepth2ImgPipeline"),
        remedy: ForeignKind.remedy)
    }
    return Component(.unet, configuration: names.configuration, table: table) {
      [TensorPlace(names.name($0))]
    }
  }

  static func autoencoder(_ table: TensorTable) -> Component {
    let names = LDMAutoencoder(table.shapes)
    return Component(.autoencoder, configuration: names.configuration, table: table) {
      [TensorPlace(names.name($0))]
    }
  }

  /// What training and other programs leave in files, and nothing that draws reads.
  private static let unread = [
    "model_ema.", "alphas_cumprod", "betas", "sqrt_", "log_one_minus_", "posterior_", "logvar",
    "lvlb_weights", "scale_factor", "global_step", "iteration", "ddim_", "v_pred", "ztsnr",
    "embedding_manager.", "cond_stage_model.logit_scale", "cond_stage_model.text_projection",
    "model.denoiser.", "denoiser.sigmas",
  ]

  private func checkStrays(known: [String]) throws(ImportError) {
    let strays = table.names.filter { name in
      !(known + Self.unread).contains { name.hasPrefix($0) }
    }
    if let first = strays.first {
      throw .strayTensors(path: path, first: first, count: strays.count)
    }
  }

  /// What the names and shapes cannot tell.
  private func note(in checkpoint: inout Checkpoint) {
    let metadata = table.tensors.values.first?.file.metadata ?? [:]
    checkpoint.license = metadata["modelspec.license"].flatMap { LicenseText.plain($0[...]) }
    let name = FileFacts.name(of: path).lowercased()
    let prediction = metadata["modelspec.prediction_type"]?.lowercased() ?? ""
    let isMarked = table.tensors["v_pred"] != nil
    if isMarked || prediction.hasPrefix("v") || name.contains("vpred") || name.contains("v-pred") {
      checkpoint.scheduler["prediction_type"] = "v_prediction"
    } else if checkpoint.unet.configuration["cross_attention_dim"]?.number == 1024 {
      let isLarge = name.contains("768")
      if isLarge { checkpoint.unet.configuration["sample_size"] = 96 }
      checkpoint.scheduler["prediction_type"] = isLarge ? "v_prediction" : "epsilon"
      checkpoint.notes.append(
        "A file of Stable Diffusion 2 does not say what it predicts: "
          + (isLarge
            ? "v, as its name has 768. If pictures are noise, import it with "
              + "--prediction epsilon."
            : "the noise is assumed. If pictures are brown noise, "
              + "import it with --prediction v."))
    }
    if table.tensors["ztsnr"] != nil { checkpoint.scheduler["rescale_betas_zero_snr"] = true }
  }
}
