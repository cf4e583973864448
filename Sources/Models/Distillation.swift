/// How a model or a LoRA was distilled to few steps. Files carry nothing of it, their names do.
package struct Distillation: Hashable, Sendable {
  package enum Method: String, CaseIterable, Sendable {
    /// Luo et al. 2023, "Latent Consistency Models", and their LCM-LoRA.
    case consistency = "lcm"
    /// Zheng et al. 2024, "Trajectory Consistency Distillation".
    case trajectoryConsistency = "tcd"
    /// Yin et al. 2024, "Improved Distribution Matching Distillation for Fast Image Synthesis".
    case distributionMatching = "dmd2"
    /// Ren et al. 2024, "Hyper-SD: Trajectory Segmented Consistency Model for Efficient Image
    /// Synthesis"; a file for each number of steps.
    case segmentedConsistency = "hyper-sd"
    /// The same, to be guided.
    case guidedSegmentedConsistency = "hyper-sd-cfg"
    /// Lin et al. 2024, "SDXL-Lightning: Progressive Adversarial Diffusion Distillation"; a file
    /// for each number of steps.
    case progressive = "lightning"
    /// Sauer et al. 2023, "Adversarial Diffusion Distillation".
    case adversarial = "turbo"
    /// Song et al. 2024, "SDXS: Real-Time One-Step Latent Diffusion Models with Image Conditions".
    case oneStep = "sdxs"
  }

  package let method: Method
  /// What it was distilled to; nil where any few steps will do, or it is not known.
  package let steps: Int?

  package init(_ method: Method, steps: Int? = nil) {
    self.method = method
    self.steps = steps
  }

  /// How it is sampled: Banana's table of recipes.
  package var recipe: FewStepRecipe {
    switch method {
    case .consistency:
      FewStepRecipe(.consistency, .lcm, steps ?? 4, guidances: 1...2)
    case .trajectoryConsistency:
      FewStepRecipe(.trajectoryConsistency, .lcm, steps ?? 4)
    case .distributionMatching:
      FewStepRecipe(.consistency, .trailing, steps ?? 4)
    case .segmentedConsistency where steps == 1:
      FewStepRecipe(.trajectoryConsistency, .lcm, 1)
    case .segmentedConsistency: FewStepRecipe(.ddim, .trailing, steps ?? 8)
    case .guidedSegmentedConsistency:
      FewStepRecipe(.ddim, .trailing, steps ?? 8, guidance: 5, guidances: 1...8)
    case .progressive, .adversarial: FewStepRecipe(.euler, .trailing, steps ?? 4)
    case .oneStep: FewStepRecipe(.euler, .trailing, 1)
    }
  }

  /// Whether it is drawn in its number of steps and no other.
  package var isStepCountFixed: Bool {
    switch method {
    case .segmentedConsistency, .guidedSegmentedConsistency, .progressive: steps != nil
    case .oneStep: true
    case .consistency, .trajectoryConsistency, .distributionMatching, .adversarial: false
    }
  }

  /// What it is, for people.
  package var text: String {
    switch method {
    case .consistency: "a latent consistency model"
    case .trajectoryConsistency: "distilled by trajectory consistency (TCD)"
    case .distributionMatching: "distilled by distribution matching (DMD2)"
    case .segmentedConsistency: "distilled by segments (Hyper-SD)"
    case .guidedSegmentedConsistency: "distilled by segments, to be guided (Hyper-SD CFG)"
    case .progressive: "distilled progressively (Lightning)"
    case .adversarial: "distilled adversarially (Turbo)"
    case .oneStep: "distilled to one step (SDXS)"
    }
  }
}

/// How what was distilled to few steps is sampled.
package struct FewStepRecipe: Hashable, Sendable {
  package let sampler: Sampler
  package let spacing: TimestepSpacing
  package let steps: Int
  /// 1 is none.
  package let guidance: Float
  /// What it bears.
  package let guidances: ClosedRange<Float>

  fileprivate init(
    _ sampler: Sampler, _ spacing: TimestepSpacing, _ steps: Int, guidance: Float = 1,
    guidances: ClosedRange<Float> = 1...1
  ) {
    (self.sampler, self.spacing, self.steps) = (sampler, spacing, steps)
    (self.guidance, self.guidances) = (guidance, guidances)
  }
}

// Names.
extension Distillation {
  private static let stepCounts = 1...16

  /// `lcm`, or with its steps `hyper-sd-8`.
  package var name: String { steps.map { "\(method.rawValue)-\($0)" } ?? method.rawValue }

  /// What `name` says; nil for another name.
  package init?(named name: String) {
    if let method = Method(rawValue: name) {
      self.init(method)
      return
    }
    guard let dash = name.lastIndex(of: "-"), let method = Method(rawValue: String(name[..<dash])),
      let steps = Int(name[name.index(after: dash)...]), Self.stepCounts.contains(steps)
    else { return nil }
    self.init(method, steps: steps)
    // One way to write each.
    if self.name != name { return nil }
  }

  /// Recognizes it in what a file is called: `Hyper-SD15-4steps-lora`.
  /// - Parameter isCheckpoint: Whether words count that are part of many a style's name too, which
  ///   in that of a LoRA only do beside what they go with.
  package init?(recognizedIn text: String, isCheckpoint: Bool = false) {
    let words = Self.words(of: text)
    let letters = words.filter { $0.first?.isNumber != true }
    func has(_ word: String) -> Bool { letters.contains(word) }
    func has(_ word: String, next other: String) -> Bool {
      zip(letters, letters.dropFirst()).contains { $0 == word && $1.hasPrefix(other) }
    }
    let steps = zip(words, words.dropFirst()).lazy
      .first { $1 == "step" || $1 == "steps" }
      .flatMap { Int($0.0) }.flatMap { Self.stepCounts.contains($0) ? $0 : nil }
    func isNamed(_ word: String, _ isBesideItsOwn: Bool) -> Bool {
      has(word) && (isCheckpoint || steps != nil || isBesideItsOwn)
    }
    if has("dmd") {
      self.init(.distributionMatching, steps: steps)
    } else if has("tcd") {
      self.init(.trajectoryConsistency, steps: steps)
    } else if has("lcm") {
      self.init(.consistency, steps: steps)
    } else if has("hypersd") || has("hypersdxl") || isNamed("hyper", has("hyper", next: "sd")) {
      self.init(has("cfg") ? .guidedSegmentedConsistency : .segmentedConsistency, steps: steps)
    } else if isNamed("lightning", has("sdxl", next: "lightning")) {
      self.init(.progressive, steps: steps)
    } else if isNamed("turbo", has("sd", next: "turbo") || has("sdxl", next: "turbo")) {
      self.init(.adversarial, steps: steps)
    } else if has("sdxs") {
      self.init(.oneStep)
    } else {
      return nil
    }
  }

  /// The runs of letters and of digits in lower case, those apart that only differ by it:
  /// `SDXLTurbo_4step` has sdxl, turbo, 4 and step.
  private static func words(of text: String) -> [String] {
    var words: [String] = []
    var word = ""
    func finishWord() {
      if !word.isEmpty { words.append(word.lowercased()) }
      word = ""
    }
    let characters = Array(text.prefix(256))
    for (index, character) in characters.enumerated() {
      guard character.isLetter || character.isNumber else {
        finishWord()
        continue
      }
      if let last = word.last {
        let next = index + 1 < characters.count ? characters[index + 1] : " "
        let beginsWord =
          character.isNumber != last.isNumber || (character.isUppercase && last.isLowercase)
          || (character.isUppercase && last.isUppercase && next.isLowercase)
        if beginsWord { finishWord() }
      }
      word.append(character)
    }
    finishWord()
    return words
  }
}
