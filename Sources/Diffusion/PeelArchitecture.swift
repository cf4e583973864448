import Weights

/// The kinds of models that people's peels are made for, told from names and widths: for saying why
/// one does not fit.
enum PeelArchitecture: String, Sendable {
  case stableDiffusion1 = "SD 1.5"
  case stableDiffusion2 = "SD 2"
  case stableDiffusionXL = "SDXL"
  case stableDiffusion3 = "SD 3"
  case flux = "FLUX"

  /// Of what a peel changes; nil if it tells nothing.
  init?(of peel: PeelFile) {
    if let embedding = peel.embedding {
      self.init(embeddingWidths: embedding.widths)
      return
    }
    let layers = peel.updates.map { update in
      (name: PeelSites.key(update.target), inputs: update.inWidth, network: update.network)
    }
    if layers.contains(where: { $0.network == .textEncoder(2) }) {
      self = .stableDiffusionXL
    } else {
      self.init(layers.filter { $0.network == .denoiser }.map { ($0.name, $0.inputs) })
    }
  }

  /// Of a word's vectors, by text encoder.
  private init?(embeddingWidths: [Int: Int]) {
    switch (embeddingWidths[1], embeddingWidths[2]) {
    case (768, nil): self = .stableDiffusion1
    case (1024, nil): self = .stableDiffusion2
    case (768, 1280), (1280, nil), (nil, 1280): self = .stableDiffusionXL
    default: return nil
    }
  }

  /// - Parameter layers: Names with underscores only, and inputs.
  init?(_ layers: [(name: String, inputs: Int)]) {
    func has(_ piece: String) -> Bool { layers.contains { $0.name.contains(piece) } }
    if has("joint_blocks_") {
      self = .stableDiffusion3
    } else if has("double_blocks_") || has("single_blocks_") || has("single_transformer_blocks_") {
      self = .flux
    } else if has("add_k_proj") {
      self = .stableDiffusion3
    } else {
      let text = layers.first {
        $0.name.hasSuffix("attn2_to_k") || $0.name.hasSuffix("attn2_to_v")
      }
      switch text?.inputs {
      case 768: self = .stableDiffusion1
      case 1024: self = .stableDiffusion2
      case 2048: self = .stableDiffusionXL
      default: return nil
      }
    }
  }
}
