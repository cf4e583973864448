package import Models

/// How an imported model is sampled where a request says nothing, and why so.
package struct ImportedRecipe: Equatable, Sendable {
  package var sampler: Sampler
  package var spacing: TimestepSpacing
  package var steps: Int
  package var guidance: Double
  /// Whether guidance is distilled into the weights.
  package var isGuidanceFixed: Bool
  /// What the checkpoint is, for people.
  package var kind: String

  /// What a person chose; nil is what goes with the checkpoint.
  package struct Choices: Sendable {
    package var sampler: Sampler?
    package var spacing: TimestepSpacing?
    package var steps: Int?
    package var guidance: Double?
    package var prediction: Prediction?

    package init() {}

    /// - Parameters:
    ///   - sampler, spacing: As requests name them.
    ///   - prediction: `epsilon`, `v` or `sample`.
    /// - Throws: `ImportError.recipe` for another name.
    package init(
      sampler: String?, spacing: String?, steps: Int?, guidance: Double?, prediction: String?
    ) throws(ImportError) {
      (self.steps, self.guidance) = (steps, guidance)
      self.sampler = try Self.choice("--sampler", sampler, ImportedRecipe.samplers)
      self.spacing = try Self.choice("--spacing", spacing, ImportedRecipe.spacings)
      self.prediction = try Self.choice("--prediction", prediction, ImportedRecipe.predictions)
    }

    private static func choice<Value>(
      _ option: String, _ name: String?, _ known: [(name: String, value: Value)]
    ) throws(ImportError) -> Value? {
      guard let name else { return nil }
      if let found = known.first(where: { $0.name == name }) { return found.value }
      throw .recipe(
        reason: "\(option) must be one of \(known.map(\.name).joined(separator: ", ")).")
    }
  }

  /// As requests name them.
  static let samplers: [(name: String, value: Sampler)] = [
    ("euler", .euler), ("euler_a", .eulerAncestral), ("ddim", .ddim), ("lcm", .consistency),
    ("tcd", .trajectoryConsistency), ("dpmpp_2m", .dpmSolver),
  ]
  private static let spacings = TimestepSpacing.allCases.map { (name: $0.rawValue, value: $0) }
  private static let predictions: [(name: String, value: Prediction)] = [
    ("epsilon", .noise), ("v", .rotation), ("sample", .sample),
  ]

  /// A line for people.
  package var text: String {
    let name = Self.samplers.first { $0.value == sampler }?.name ?? sampler.rawValue
    let count = steps == 1 ? "1 step" : "\(steps) steps"
    let strength = guidance == guidance.rounded() ? "\(Int(guidance))" : "\(guidance)"
    return "\(kind): \(name), spacing \(spacing.rawValue), \(count), guidance \(strength)"
  }

  /// The recipe of a checkpoint, by what it was distilled to and how noise was added to it.
  init(of checkpoint: Checkpoint) {
    let scheduler = checkpoint.scheduler
    let name = scheduler["_class_name"]?.text ?? ""
    let unet = checkpoint.unet.configuration
    let named = Distillation(
      recognizedIn: FileFacts.name(of: checkpoint.path), isCheckpoint: true)
    if unet["time_cond_proj_dim"]?.number != nil {
      self.init(.consistency, .lcm, 4, 8, "a latent consistency model with guidance as an input")
    } else if name == "LCMScheduler" {
      self.init(Distillation(.consistency))
    } else if Self.isOneStep(unet) {
      self.init(Distillation(.oneStep))
    } else if let named {
      // Those that were distilled as a whole need one step.
      self.init(named.name == "turbo" ? Distillation(.adversarial, steps: 1) : named)
    } else if Self.isTurbo(scheduler) {
      self.init(Distillation(.adversarial, steps: 1))
    } else if scheduler["rescale_betas_zero_snr"]?.flag == true {
      self.init(.euler, .trailing, 25, 7.5, "trained until nothing of a picture is left")
    } else {
      let isV = scheduler["prediction_type"]?.text == "v_prediction"
      self.init(
        .dpmSolver, .karras, 20, 7.5, isV ? "not distilled; it predicts v" : "not distilled")
    }
  }

  private init(_ distillation: Distillation) {
    let recipe = distillation.recipe
    self.init(
      recipe.sampler, recipe.spacing, recipe.steps, Double(recipe.guidance), distillation.text,
      isGuidanceFixed: [.adversarial, .oneStep].contains(distillation.method))
  }

  private init(
    _ sampler: Sampler, _ spacing: TimestepSpacing, _ steps: Int, _ guidance: Double,
    _ kind: String, isGuidanceFixed: Bool = false
  ) {
    (self.sampler, self.spacing, self.steps) = (sampler, spacing, steps)
    (self.guidance, self.kind, self.isGuidanceFixed) = (guidance, kind, isGuidanceFixed)
  }

  /// No attention in the finest level and no middle: the pruned UNet that SDXS was distilled to.
  private static func isOneStep(_ unet: JSONTree) -> Bool {
    unet["down_block_types"]?.list?.first?.text == "DownBlock2D"
      && unet["mid_block_type"] == .null
  }

  /// SD-Turbo's scheduler: Euler's method over trailing steps, for the noise.
  private static func isTurbo(_ scheduler: JSONTree) -> Bool {
    scheduler["_class_name"]?.text?.hasPrefix("Euler") == true
      && scheduler["timestep_spacing"]?.text == "trailing"
      && scheduler["rescale_betas_zero_snr"]?.flag != true
      && scheduler["prediction_type"]?.text != "v_prediction"
  }

  /// With what a person chose laid over it.
  /// - Throws: `ImportError.recipe` for a contradiction.
  func applying(_ choices: Choices) throws(ImportError) -> ImportedRecipe {
    var recipe = self
    recipe.steps = choices.steps ?? steps
    recipe.guidance = choices.guidance ?? guidance
    if let sampler = choices.sampler {
      recipe.sampler = sampler
      if sampler.isForDistilled {
        recipe.spacing = .lcm
      } else if spacing == .lcm {
        recipe.spacing = .trailing
      }
    }
    recipe.spacing = choices.spacing ?? recipe.spacing
    // Whoever asks for guidance takes the model not to be distilled.
    if recipe.guidance != 1 { recipe.isGuidanceFixed = false }
    guard 1...1000 ~= recipe.steps, 0...100 ~= recipe.guidance else {
      throw .recipe(
        reason:
          "A recipe has 1 to 1000 steps and a guidance from 0 to 100, not \(recipe.steps) and "
          + "\(recipe.guidance). Change --steps or --guidance.")
    }
    return recipe
  }

  var configuration: JSONTree {
    [
      "sampler": .text(sampler.rawValue), "spacing": .text(spacing.rawValue),
      "steps": .number(Double(steps)), "guidance": .number(guidance),
      "isGuidanceFixed": .flag(isGuidanceFixed),
    ]
  }
}

extension Prediction {
  /// As diffusers calls it; nil for what its checkpoints do not predict.
  var diffusersName: String? {
    switch self {
    case .noise: "epsilon"
    case .rotation: "v_prediction"
    case .sample: "sample"
    case .velocity: nil
    }
  }
}
