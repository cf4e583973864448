package import BananaAPI
package import Diffusion
import Models

/// How a request is sampled, and by whose recipe: what it says itself goes first, then what a peel
/// needs that was distilled to few steps, then what the model takes where nobody says anything.
package struct RecipeChoice: Sendable {
  /// The request, with the peel's recipe in what it leaves open.
  package let request: PictureRequest
  /// As the answer tells it.
  package let applied: AppliedRecipe
  /// What contradicts what, in sentences.
  package let warnings: [String]

  /// - Parameter asked: With its peels, and nothing else that it did not say itself.
  package init(for asked: PictureRequest, by model: ModelDescription) {
    let distilled = asked.peels.filter { $0.strength > 0 && $0.distillation != nil }
    // The one that shows most.
    let strongest = distilled.max { $0.strength < $1.strength }
    let leader = strongest.flatMap { use in
      use.distillation.map { Leader(name: use.name, distillation: $0) }
    }
    let taken = leader.flatMap { model.samplers.contains($0.recipe.sampler) ? $0 : nil }
    request = Self.completed(asked, with: taken?.recipe, model)
    applied = AppliedRecipe(
      of: request, by: model, peel: taken?.name, kind: taken?.distillation.name,
      requested: Self.fields(of: asked, model))
    var warnings = Self.guidanceWarnings(asked, taken, model)
    if let leader {
      warnings += Self.conflicts(leader, isTaken: taken != nil, among: distilled, model)
    }
    if let taken {
      warnings += Self.departures(of: asked, from: taken)
    } else {
      warnings += Self.departures(of: asked, from: model)
    }
    self.warnings = warnings
  }

  /// The peel whose recipe counts.
  private struct Leader {
    let name: String
    let distillation: Distillation
    var recipe: FewStepRecipe { distillation.recipe }
  }

  private static func completed(
    _ asked: PictureRequest, with recipe: FewStepRecipe?, _ model: ModelDescription
  ) -> PictureRequest {
    var request = asked
    // What is folded into the weights has no scale.
    if model.guidanceForm == .folded { request.guidance = nil }
    guard let recipe else { return request }
    let isItsSampler = asked.sampler == nil || asked.sampler == recipe.sampler
    request.sampler = asked.sampler ?? recipe.sampler
    if isItsSampler, model.spacings.contains(recipe.spacing) {
      request.spacing = asked.spacing ?? recipe.spacing
    }
    request.steps = asked.steps ?? recipe.steps
    if model.guidanceForm == .classifierFree {
      request.guidance = asked.guidance ?? recipe.guidance
      // So those who distilled it write that there is none.
      if request.guidance == 0 { request.guidance = 1 }
    }
    return request
  }

  /// The fields of a recipe that a request has itself.
  private static func fields(of asked: PictureRequest, _ model: ModelDescription) -> [String] {
    let isGuided = asked.guidance != nil && model.guidanceForm != .folded
    let fields = [
      ("sampler", asked.sampler != nil), ("spacing", asked.spacing != nil),
      ("steps", asked.steps != nil), ("guidance", isGuided),
    ]
    return fields.filter(\.1).map(\.0)
  }
}

// What contradicts what.
extension RecipeChoice {
  private static func guidanceWarnings(
    _ asked: PictureRequest, _ leader: Leader?, _ model: ModelDescription
  ) -> [String] {
    guard let guidance = asked.guidance, guidance != 0, guidance != 1 else { return [] }
    if model.guidanceForm == .folded {
      return [
        "guidance was ignored: \(model.name) was distilled with guidance built in. Leave it out."
      ]
    }
    guard let leader, model.guidanceForm == .classifierFree else { return [] }
    let range = leader.recipe.guidances
    if range.contains(guidance) { return [] }
    let borne =
      range.lowerBound == range.upperBound
      ? "none (1)" : "\(Int(range.lowerBound)) to \(Int(range.upperBound))"
    return [
      "guidance is \(guidance), and the peel \"\(leader.name)\" was distilled for \(borne): "
        + "colours may burn. Leave guidance out."
    ]
  }

  /// Peels that were distilled for one thing, beside others or a model that were for another.
  private static func conflicts(
    _ leader: Leader, isTaken: Bool, among distilled: [PeelUse], _ model: ModelDescription
  ) -> [String] {
    var warnings: [String] = []
    if !isTaken {
      let own = ImageGenerationRequest.Sampler(leader.recipe.sampler).rawValue
      warnings.append(
        "The peel \"\(leader.name)\" was distilled for the sampler \(own), which \(model.name) "
          + "cannot be drawn with: it was drawn with as if it were another peel.")
    } else if model.isDistilled, leader.recipe.sampler != model.defaultSampler {
      let own = ImageGenerationRequest.Sampler(model.defaultSampler).rawValue
      warnings.append(
        "\(model.name) was distilled itself, for the sampler \(own), and the peel "
          + "\"\(leader.name)\" for \(leader.distillation.name): leave the peel out.")
    }
    for other in distilled where other.distillation != leader.distillation {
      warnings.append(
        "The peels \"\(leader.name)\" and \"\(other.name)\" were distilled for different recipes, "
          + "\(leader.distillation.name) and \(other.distillation!.name), of which the first was "
          + "taken: leave one of them out.")
    }
    return warnings
  }

  private static func departures(of asked: PictureRequest, from leader: Leader) -> [String] {
    let recipe = leader.recipe
    var warnings: [String] = []
    func warn(_ field: String, _ own: String) {
      warnings.append(
        "The peel \"\(leader.name)\" was distilled for \(own) (\(leader.distillation.name)): leave "
          + "\(field) out.")
    }
    if let sampler = asked.sampler, sampler != recipe.sampler {
      warn("sampler", "the sampler \(ImageGenerationRequest.Sampler(recipe.sampler).rawValue)")
    } else if let spacing = asked.spacing, spacing != recipe.spacing {
      warn("spacing", "the spacing \(recipe.spacing.rawValue)")
    }
    if let steps = asked.steps, leader.distillation.isStepCountFixed, steps != recipe.steps {
      warn("steps", recipe.steps == 1 ? "1 step" : "\(recipe.steps) steps")
    }
    return warnings
  }

  private static func departures(
    of asked: PictureRequest, from model: ModelDescription
  ) -> [String] {
    var warnings: [String] = []
    if let sampler = asked.sampler, sampler != model.defaultSampler {
      let name = ImageGenerationRequest.Sampler(sampler).rawValue
      let own = ImageGenerationRequest.Sampler(model.defaultSampler).rawValue
      if model.isDistilled {
        warnings.append("\(model.name) was distilled for the sampler \(own): leave sampler out.")
      } else if sampler.isForDistilled {
        warnings.append(
          "The sampler \(name) is for what was distilled for it, which \(model.name) was not, and "
            + "no peel of the request is known to be: pictures may be blurred or burnt.")
      }
    }
    if model.isDistilled, let spacing = asked.spacing, let own = model.defaultSpacing,
      spacing != own
    {
      warnings.append(
        "\(model.name) was distilled for the spacing \(own.rawValue): leave spacing out.")
    }
    return warnings
  }
}

extension AppliedRecipe {
  /// - Parameters:
  ///   - request: With all that it takes from a peel.
  ///   - peel: Whose recipe it is; nil is the model's.
  fileprivate init(
    of request: PictureRequest, by model: ModelDescription, peel: String?, kind: String?,
    requested: [String]
  ) {
    let sampler = request.sampler ?? model.defaultSampler
    self.init(
      source: peel == nil ? .model : .peel, peel: peel, kind: kind,
      sampler: ImageGenerationRequest.Sampler(sampler).rawValue,
      spacing: (request.spacing ?? model.spacing(for: sampler))?.rawValue,
      steps: request.steps ?? model.defaultSteps,
      // As it was written, and not as the nearest f32 is.
      guidance: Double("\(request.guidance ?? model.defaultGuidance)")!, requested: requested)
  }
}
