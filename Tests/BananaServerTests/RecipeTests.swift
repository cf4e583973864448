import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Models
import Testing
import Weights

@testable import Serving

/// Peels that were distilled to few steps bring their recipe, over a socket and by themselves.
@Suite(.timeLimit(.minutes(5))) struct RecipeTests {
  private func install(
    _ name: String, on daemon: TestDaemon, metadata: [String: String] = [:], recipe: String? = nil,
    value: Float = 1
  ) async throws -> PeelInfo {
    let choice = recipe.map { "&recipe=\($0)" } ?? ""
    let answer = try await RawConnection(daemon.socketPath).exchange(
      "POST", "\(Route.peels)?name=\(name)\(choice)",
      body: TestPeel.bytes(value: value, metadata: metadata))
    #expect(answer.status == 201, "\(answer.body)")
    return try JSONDecoder().decode(PeelInfo.self, from: Data(answer.body.utf8))
  }

  @Test func aPeelIsListedWithItsRecipe() async throws {
    try await TestDaemon.serving { daemon async throws in
      let lcm = PeelRecipe(name: "lcm", sampler: "lcm", spacing: "lcm", steps: 4, guidance: 1)
      #expect(try await install("lcm-lora-sdv1-5", on: daemon).recipe == lcm)
      let titled = try await install(
        "fast", on: daemon, metadata: ["modelspec.title": "Hyper-SD15-8steps-lora"])
      #expect(titled.recipe?.name == "hyper-sd-8" && titled.recipe?.sampler == "ddim")
      let trained = try await install(
        "faster", on: daemon, metadata: ["ss_output_name": "my_tcd_lora"])
      #expect(trained.recipe?.name == "tcd")
      // A person knows better.
      #expect(try await install("weights", on: daemon, recipe: "lcm").recipe == lcm)
      #expect(try await install("lcm-style", on: daemon, recipe: "none").recipe == nil)
      #expect(try await install("pixel-art", on: daemon).recipe == nil)
      let list = try JSONDecoder().decode(
        PeelList.self,
        from: Data(
          try await RawConnection(daemon.socketPath).exchange("GET", Route.peels).body.utf8))
      #expect(
        list.data.map { "\($0.name) \($0.recipe?.name ?? "-")" } == [
          "fast hyper-sd-8", "faster tcd", "lcm-lora-sdv1-5 lcm", "lcm-style -", "pixel-art -",
          "weights lcm",
        ])
      let wrong = try await RawConnection(daemon.socketPath).exchange(
        "POST", "\(Route.peels)?name=a&recipe=quick", body: TestPeel.bytes())
      #expect(wrong.status == 400 && wrong.body.contains("hyper-sd-8"))
    }
  }

  @Test func aRequestTakesItsRecipe() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      _ = try await install("hyper-sd15-8steps-lora", on: daemon)
      _ = try await install("lcm", on: daemon, value: 2)
      func draw(_ fields: String) async throws -> ImageGenerationResponse {
        try await BananaServerTests.answer(to: #"{"prompt":"p",\#(fields)}"#, from: daemon)
      }
      let plain = try await draw(#""seed":1"#)
      #expect(
        plain.recipe
          == AppliedRecipe(
            source: .model, sampler: "euler", spacing: "trailing", steps: 4, guidance: 2.5,
            requested: []))

      let hyper = #""peels":["hyper-sd15-8steps-lora"]"#
      let taken = try await draw(hyper)
      #expect(
        taken.recipe
          == AppliedRecipe(
            source: .peel, peel: "hyper-sd15-8steps-lora", kind: "hyper-sd-8", sampler: "ddim",
            spacing: "trailing", steps: 8, guidance: 1, requested: []))
      #expect(taken.warnings == [])
      let drawn = engine.record.requests[1]
      #expect(drawn.sampler == .ddim && drawn.spacing == .trailing && drawn.steps == 8)
      #expect(drawn.guidance == 1)

      // What a request says itself is drawn, and what contradicts is told.
      let own = try await draw(hyper + #","sampler":"euler","steps":20,"guidance":7.5"#)
      #expect(own.recipe?.requested == ["sampler", "steps", "guidance"])
      #expect(own.recipe?.steps == 20 && own.recipe?.guidance == 7.5)
      #expect(own.recipe?.spacing == "trailing" && own.recipe?.peel != nil)
      #expect(own.warnings.count == 3, "\(own.warnings)")
      for word in ["guidance is 7.5", "the sampler ddim", "8 steps"] {
        #expect(own.warnings.contains { $0.contains(word) }, "\(word)")
      }
      #expect(engine.record.requests[2].guidance == 7.5 && engine.record.requests[2].steps == 20)

      let lcm = try await draw(#""peels":["lcm"],"guidance":0,"steps":6,"negative_prompt":"fog""#)
      #expect(lcm.recipe?.guidance == 1 && lcm.recipe?.steps == 6 && lcm.recipe?.spacing == "lcm")
      #expect(lcm.warnings.count == 1 && lcm.warnings[0].contains("negative_prompt was ignored"))

      let both = try await draw(
        #""peels":[{"name":"lcm","strength":0.5},"hyper-sd15-8steps-lora"]"#)
      #expect(both.recipe?.kind == "hyper-sd-8")
      #expect(both.warnings.count == 1 && both.warnings[0].contains("different recipes"))
      // Not applied, not taken.
      let off = try await draw(#""peels":[{"name":"lcm","strength":0}]"#)
      #expect(off.recipe?.source == .model && off.warnings == [])

      let blurred = try await draw(#""sampler":"lcm""#)
      #expect(blurred.recipe?.spacing == "lcm")
      #expect(blurred.warnings.count == 1 && blurred.warnings[0].contains("fake was not"))
    }
  }

  /// Models of other kinds, without a socket.
  @Test func modelsHaveTheirSay() throws {
    let peel = PeelUse(
      OpenPeel(try PeelFile(contents: TestPeel.bytes(), path: "p")), name: "fast", strength: 1,
      distillation: Distillation(.trajectoryConsistency), heldBy: nil)
    let size = PictureSize(width: 512, height: 512)
    var plain = PictureRequest(prompt: "p", size: size)
    plain.guidance = 7.5
    var request = plain
    request.peels = [peel]

    // Guidance is in the weights.
    var model = FakeEngine().model
    (model.guidanceForm, model.defaultGuidance) = (.folded, 1)
    let folded = RecipeChoice(for: plain, by: model)
    #expect(folded.request.guidance == nil && folded.applied.guidance == 1)
    #expect(folded.applied.requested == [])
    #expect(folded.warnings.count == 1 && folded.warnings[0].contains("guidance was ignored"))

    // Guidance is an input, whatever the peel says.
    (model.guidanceForm, model.defaultGuidance) = (.embedded, 8)
    (model.defaultSampler, model.defaultSpacing) = (.consistency, .lcm)
    request.guidance = nil
    let embedded = RecipeChoice(for: request, by: model)
    #expect(embedded.request.guidance == nil && embedded.applied.guidance == 8)
    #expect(embedded.request.sampler == .trajectoryConsistency)
    #expect(embedded.warnings.count == 1 && embedded.warnings[0].contains("distilled itself"))

    // Levels of its own, and no such sampler.
    (model.samplers, model.spacings, model.defaultSpacing) = ([.euler, .consistency], [], nil)
    let other = RecipeChoice(for: request, by: model)
    #expect(other.request == request && other.applied.source == .model)
    #expect(other.warnings.count == 1 && other.warnings[0].contains("cannot be drawn with"))

    // One that was distilled for its own.
    plain.guidance = nil
    (plain.sampler, plain.spacing) = (.euler, .karras)
    (model.spacings, model.defaultSpacing) = (TimestepSpacing.allCases, .lcm)
    #expect(
      RecipeChoice(for: plain, by: model).warnings == [
        "fake was distilled for the sampler lcm: leave sampler out.",
        "fake was distilled for the spacing lcm: leave spacing out.",
      ])
  }
}
