/// What `model.json` says that holds for every family of models.
package struct ModelManifest: Decodable, Equatable, Sendable {
  package static let supportedVersion = 1

  /// A licence of something that went into the model.
  package struct License: Decodable, Equatable, Sendable {
    package let what: String
    package let license: String
    package let source: String
  }

  /// What a file must be.
  package struct FileRecord: Decodable, Equatable, Sendable {
    /// 64 hexadecimal digits in lower case.
    package let sha256: String
    package let bytes: Int
  }

  /// How prompts become tokens.
  package struct Text: Decodable, Equatable, Sendable {
    package let tokenizer: String
    /// The name of the vocabulary's file.
    package let vocabulary: String
    package let lowercase: Bool
    /// With `[CLS]` and `[SEP]`.
    package let maximumTokens: Int
    /// A text with `{style}` and `{prompt}`.
    package let promptTemplate: String
    package let styles: [String]
    package let defaultStyle: String
  }

  /// The statistics by which latents are normalized, `[latentChannel]` each.
  package struct Latents: Decodable, Equatable, Sendable {
    package let mean: [Float]
    package let standardDeviation: [Float]
  }

  /// What is taken where a request says nothing.
  package struct Sampling: Decodable, Equatable, Sendable {
    /// How steps are taken.
    package enum Sampler: String, Decodable, Sendable {
      /// Along the flow's velocity.
      case euler
      /// For distilled models: to the clean latents at once, and back to the next noise level.
      case consistency
    }

    package let sampler: Sampler
    package let steps: Int
    /// 1 for the consistency sampler, whose models have guidance folded in.
    package let guidance: Float
    package let sigmaShift: Float
  }

  package let formatVersion: Int
  package let name: String
  package let family: String
  package let version: String
  package let description: String
  package let licenses: [License]
  package let files: [String: FileRecord]
  package let text: Text
  package let latents: Latents
  package let sampling: Sampling
  /// The decoder's alpha that counts as clear and as opaque, both in `0...1`; 0 and 1 if nil.
  package let alphaRange: [Float]?
  /// Sides of the square pictures that can be asked for, in pixels.
  package let sizes: [Int]
  /// The side of the pictures that the decoder makes, in pixels.
  package let nativeSize: Int

  /// What is wrong with the values, nil if nothing is.
  var problem: String? {
    if name.isEmpty || family.isEmpty { return "\"name\" and \"family\" must not be empty" }
    for (name, file) in files.sorted(by: { $0.key < $1.key }) {
      let isHexadecimal = file.sha256.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x61...0x66 ~= $0
      }
      if file.sha256.utf8.count != 64 || !isHexadecimal {
        return "the sha256 of \"\(name)\" is not 64 hexadecimal digits in lower case"
      }
      if file.bytes < 0 { return "the size of \"\(name)\" is negative" }
    }
    return textProblem ?? numberProblem
  }

  private var textProblem: String? {
    if text.tokenizer != "wordpiece" {
      return "the tokenizer \"\(text.tokenizer)\" is unknown; \"wordpiece\" is known"
    }
    if files[text.vocabulary] == nil {
      return "the vocabulary \"\(text.vocabulary)\" is not among \"files\""
    }
    if !(2...65_536 ~= text.maximumTokens) { return "\"maximumTokens\" is not in 2...65536" }
    if !text.styles.contains(text.defaultStyle) { return "\"defaultStyle\" is not in \"styles\"" }
    if text.promptTemplate.split(separator: "{prompt}", omittingEmptySubsequences: false).count != 2
    {
      return "\"promptTemplate\" does not have {prompt} once"
    }
    return nil
  }

  private var numberProblem: String? {
    let deviations = latents.standardDeviation
    if latents.mean.isEmpty || latents.mean.count != deviations.count {
      return "\"latents\" has \(latents.mean.count) means and \(deviations.count) deviations"
    }
    if !latents.mean.allSatisfy(\.isFinite) || !deviations.allSatisfy({ $0.isFinite && $0 > 0 }) {
      return "\"latents\" has a mean that is not finite or a deviation that is not positive"
    }
    if !(1...1000 ~= sampling.steps) { return "\"steps\" is not in 1...1000" }
    if !(0...100 ~= sampling.guidance) { return "\"guidance\" is not in 0...100" }
    if sampling.sampler == .consistency, sampling.guidance != 1 {
      return "\"guidance\" is not 1, as the consistency sampler needs it"
    }
    // Beyond, the noise levels of many steps would be equal in f32.
    if !(0.01...100 ~= sampling.sigmaShift) { return "\"sigmaShift\" is not in 0.01...100" }
    if let range = alphaRange {
      guard range.count == 2, 0 <= range[0], range[1] - range[0] >= 0.1, range[1] <= 1 else {
        return "\"alphaRange\" is not two numbers in 0...1, the second 0.1 above the first or more"
      }
    }
    if !sizes.contains(nativeSize) { return "\"nativeSize\" is not in \"sizes\"" }
    for size in sizes where size <= 0 || size > 16_384 || nativeSize % size != 0 {
      return "the size \(size) is not in 1...16384 or does not divide \"nativeSize\" \(nativeSize)"
    }
    return nil
  }
}

extension ModelManifest.Sampling {
  private enum CodingKeys: CodingKey { case sampler, steps, guidance, sigmaShift }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    sampler = try values.decodeIfPresent(Sampler.self, forKey: .sampler) ?? .euler
    steps = try values.decode(Int.self, forKey: .steps)
    guidance = try values.decode(Float.self, forKey: .guidance)
    sigmaShift = try values.decode(Float.self, forKey: .sigmaShift)
  }
}
