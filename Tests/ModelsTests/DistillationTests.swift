import Models
import Testing

/// What was distilled is known by its name, and by nothing that a style may be called.
@Suite struct DistillationTests {
  @Test(arguments: [
    ("lcm-lora-sdv1-5", "lcm"), ("LCM_LoRA_Weights_SD15", "lcm"), ("DreamShaper_8LCM", "lcm"),
    ("LCMDreamshaper_v7", "lcm"), ("TCD-SD15-LoRA", "tcd"), ("dmd2_sdxl_4step_lora", "dmd2-4"),
    ("Hyper-SD15-1step-lora", "hyper-sd-1"), ("hyper-sd15-8steps-lora", "hyper-sd-8"),
    ("Hyper-SD15-12steps-CFG-lora", "hyper-sd-cfg-12"), ("hypersd15_4-steps", "hyper-sd-4"),
    ("sdxl_lightning_4step_lora", "lightning-4"), ("sdxl lightning", "lightning"),
    ("SDXLTurbo", "turbo"), ("sd_turbo_lora", "turbo"), ("SD15 Turbo 4 steps", "turbo-4"),
    ("sdxs-512-dreamshaper", "sdxs"),
  ])
  func recognizesLoRAs(name: String, expected: String) {
    #expect(Distillation(recognizedIn: name)?.name == expected)
  }

  @Test(arguments: [
    "pixel-art", "lightning-strike", "Turbo Car", "hyper-realism", "alchemy", "hyperdetailed 2",
    "calcmode", "99999999999999999999 steps", "footsteps", "", "ѕd turbine",
  ])
  func leavesStylesAlone(name: String) {
    #expect(Distillation(recognizedIn: name) == nil)
  }

  @Test func aCheckpointSaysItInOneWord() {
    for (name, expected) in [
      ("dreamshaperXL_lightningDPM", "lightning"), ("epicphotogasm_hyper", "hyper-sd"),
      ("absolutereality_turbo", "turbo"),
    ] {
      #expect(Distillation(recognizedIn: name, isCheckpoint: true)?.name == expected)
      #expect(Distillation(recognizedIn: name) == nil)
    }
  }

  @Test func namesAreReadAsTheyAreWritten() {
    for method in Distillation.Method.allCases {
      for steps in [nil, 1, 8, 16] {
        let distillation = Distillation(method, steps: steps)
        #expect(Distillation(named: distillation.name) == distillation)
        #expect(distillation.recipe.guidances.contains(distillation.recipe.guidance))
      }
    }
    for name in ["", "none", "lcm-", "lcm-0", "lcm-17", "lcm-04", "-4", "hyper", "lcm 4"] {
      #expect(Distillation(named: name) == nil, "\(name)")
    }
  }

  /// As their authors draw with them.
  @Test func recipesAreTheirAuthors() {
    func recipe(_ name: String) -> (Sampler, TimestepSpacing, Int, Float)? {
      Distillation(named: name).map {
        ($0.recipe.sampler, $0.recipe.spacing, $0.recipe.steps, $0.recipe.guidance)
      }
    }
    #expect(recipe("lcm")! == (.consistency, .lcm, 4, 1))
    #expect(recipe("tcd")! == (.trajectoryConsistency, .lcm, 4, 1))
    #expect(recipe("dmd2")! == (.consistency, .trailing, 4, 1))
    #expect(recipe("hyper-sd-1")! == (.trajectoryConsistency, .lcm, 1, 1))
    #expect(recipe("hyper-sd-4")! == (.ddim, .trailing, 4, 1))
    #expect(recipe("hyper-sd-cfg-12")! == (.ddim, .trailing, 12, 5))
    #expect(recipe("lightning-8")! == (.euler, .trailing, 8, 1))
    #expect(recipe("turbo")! == (.euler, .trailing, 4, 1))
    #expect(recipe("sdxs")! == (.euler, .trailing, 1, 1))
  }
}
