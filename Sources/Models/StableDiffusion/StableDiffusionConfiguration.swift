/// A checkpoint of Stable Diffusion's kind, as `model.json` describes it: the configurations that
/// its parts came with, and how it is sampled.
package struct StableDiffusionConfiguration: Decodable, Sendable {
  package struct Tokenizer: Decodable, Sendable {
    /// What fills up a text: the token that ends one for CLIP's own text encoder, 0 for OpenCLIP's.
    package var padding: Int32
  }

  /// What is taken where a request says nothing.
  package struct Sampling: Decodable, Sendable {
    package var sampler: Sampler
    package var spacing: TimestepSpacing
    package var steps: Int
    package var guidance: Float
    /// Whether guidance is folded into the weights, as it is in those that draw in one step.
    package var isGuidanceFixed: Bool
  }

  /// `unet/config.json`.
  package var unet: DiffusersConfiguration
  /// `text_encoder/config.json`.
  package var textEncoder: DiffusersConfiguration
  /// `vae/config.json`, of an `AutoencoderKL` or an `AutoencoderTiny`.
  package var autoencoder: DiffusersConfiguration
  /// `scheduler/scheduler_config.json`.
  package var scheduler: DiffusersConfiguration
  package var tokenizer: Tokenizer
  package var sampling: Sampling
}

/// What a checkpoint's scheduler says of how it was trained.
struct SchedulerConfiguration: Hashable, Sendable {
  private enum PredictionType: String, CaseIterable {
    case epsilon
    case rotation = "v_prediction"
    case sample
  }

  private enum BetaSchedule: String, CaseIterable {
    case scaledLinear = "scaled_linear"
  }

  let betas: Betas
  let timesteps: Timesteps
  let prediction: Prediction

  init(
    _ configuration: DiffusersConfiguration, _ spacing: TimestepSpacing
  ) throws(ConfigurationError) {
    let fields = DiffusersFields(component: "scheduler", configuration: configuration)
    try fields.expect("trained_betas", .null)
    let _: BetaSchedule = try fields.choice("beta_schedule", default: .scaledLinear)
    let count = try fields.integer("num_train_timesteps", default: 1000, in: 2...100_000)
    betas = Betas(
      count: count, first: Double(try fields.number("beta_start", default: 0.00085)),
      last: Double(try fields.number("beta_end", default: 0.012)),
      endInNoise: try fields.flag("rescale_betas_zero_snr", default: false))
    timesteps = Timesteps(
      spacing, offset: try fields.integer("steps_offset", default: 1, in: 0...(count - 1)),
      distilled: try fields.integer("original_inference_steps", default: 50, in: 1...count),
      ddimEndsClean: try fields.flag("set_alpha_to_one", default: true))
    let type: PredictionType = try fields.choice("prediction_type", default: .epsilon)
    prediction =
      switch type {
      case .epsilon: .noise
      case .rotation: .rotation
      case .sample: .sample
      }
  }
}
