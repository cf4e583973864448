import Diffusion
import Foundation
import Models
import Testing

@testable import ModelImport

/// How a checkpoint is sampled follows from what it is.
@Suite struct RecipeTests {
  private func recipe(
    _ name: String, unet: JSONTree = [:], scheduler: JSONTree = [:]
  ) throws -> ImportedRecipe {
    var checkpoint = try Checkpoint(
      path: Fixtures.tiny, autoencoders: [], vocabulary: Fixtures.merges)
    for key in unet.keys { checkpoint.unet.configuration[key] = unet[key] }
    for key in scheduler.keys { checkpoint.scheduler[key] = scheduler[key] }
    let named = Checkpoint(
      path: name, textEncoder: checkpoint.textEncoder, unet: checkpoint.unet,
      autoencoder: checkpoint.autoencoder, scheduler: checkpoint.scheduler,
      vocabulary: checkpoint.vocabulary)
    return ImportedRecipe(of: named)
  }

  private func expect(
    _ recipe: ImportedRecipe, _ sampler: Sampler, _ spacing: TimestepSpacing, _ steps: Int,
    _ guidance: Double, isFixed: Bool = false
  ) {
    #expect(recipe.sampler == sampler && recipe.spacing == spacing, "\(recipe.text)")
    #expect(recipe.steps == steps && recipe.guidance == guidance, "\(recipe.text)")
    #expect(recipe.isGuidanceFixed == isFixed, "\(recipe.text)")
  }

  @Test func kindsOfCheckpoints() throws {
    expect(try recipe("dreamshaper.safetensors"), .dpmSolver, .karras, 20, 7.5)
    expect(try recipe("sd_turbo.safetensors"), .euler, .trailing, 1, 1, isFixed: true)
    let turbo: JSONTree = [
      "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing",
    ]
    expect(try recipe("a", scheduler: turbo), .euler, .trailing, 1, 1, isFixed: true)
    expect(
      try recipe("a", scheduler: ["_class_name": "LCMScheduler"]), .consistency, .lcm, 4, 1)
    expect(try recipe("a", unet: ["time_cond_proj_dim": 256]), .consistency, .lcm, 4, 8)
    let pruned: JSONTree = [
      "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "mid_block_type": nil,
    ]
    expect(try recipe("a", unet: pruned), .euler, .trailing, 1, 1, isFixed: true)
    let zero: JSONTree = [
      "prediction_type": "v_prediction", "rescale_betas_zero_snr": true,
    ]
    expect(try recipe("a", scheduler: zero), .euler, .trailing, 25, 7.5)
  }

  @Test func choicesWin() throws {
    let plain = try recipe("a")
    let fast = try plain.applying(
      .init(sampler: "lcm", spacing: nil, steps: 4, guidance: 1, prediction: nil))
    expect(fast, .consistency, .lcm, 4, 1)
    let guided = try recipe("turbo").applying(
      .init(sampler: nil, spacing: "leading", steps: nil, guidance: 2, prediction: nil))
    expect(guided, .euler, .leading, 1, 2)
    #expect(throws: ImportError.self) {
      _ = try ImportedRecipe.Choices(
        sampler: "magic", spacing: nil, steps: nil, guidance: nil, prediction: nil)
    }
    #expect(throws: ImportError.self) {
      _ = try plain.applying(
        .init(sampler: nil, spacing: nil, steps: 0, guidance: nil, prediction: nil))
    }
  }

  /// What is predicted can be chosen, and reaches the model.
  @Test func predictionCanBeChosen() throws {
    let folder = try TemporaryFolder()
    let result = try ModelImporter.importing(Fixtures.tiny, to: folder.path) {
      $0.choices = try! .init(
        sampler: "euler", spacing: "trailing", steps: 3, guidance: 5, prediction: "v")
    }
    let facts = try LoadedModel(path: result.path).facts
    #expect(facts.prediction == .rotation)
    #expect(facts.sampling.sampler == .euler && facts.sampling.steps == 3)
    #expect(facts.noise.spacing == .trailing)
    #expect(result.prediction == "v_prediction")
  }
}
