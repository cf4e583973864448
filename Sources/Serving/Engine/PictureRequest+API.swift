package import BananaAPI
package import Diffusion
package import Models

extension PictureRequest {
  /// Completes a wire request with the model's facts.
  /// - Parameters:
  ///   - wire: Already validated.
  ///   - randomSeed: Used when the request names no seed.
  ///   - peels: What the request's names stand for.
  /// - Throws: `APIError` for a size, style, sampler, spacing or layer that is not `model`'s.
  package init(
    _ wire: ImageGenerationRequest, model: ModelDescription,
    randomSeed: UInt64, peels: [PeelUse] = []
  ) throws(APIError) {
    self.init(
      prompt: Self.printable(wire.prompt),
      negativePrompt: Self.printable(wire.negativePrompt ?? ""),
      style: try model.style(named: wire.style), clipSkip: try model.clipSkip(wire.clipSkip),
      size: try model.size(named: wire.size, isStrict: wire.strictSize ?? false),
      steps: wire.steps,
      guidance: wire.guidance.map { Float($0) }, sampler: try model.sampler(wire.sampler),
      spacing: try model.spacing(wire.spacing), seed: wire.seed ?? randomSeed,
      count: wire.count ?? 1,
      background: wire.background == .opaque || model.isOpaque ? .opaque : .transparent,
      previews: wire.partialImages ?? 0, peels: peels,
      marksProvenance: wire.provenance ?? true)
  }

  /// The prompt with control characters, NUL among them, replaced by spaces.
  private static func printable(_ prompt: String) -> String {
    guard prompt.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else { return prompt }
    var scalars = String.UnicodeScalarView()
    for scalar in prompt.unicodeScalars {
      scalars.append(scalar.properties.generalCategory == .control ? " " : scalar)
    }
    return String(scalars)
  }
}

extension ImageGenerationRequest.Sampler {
  fileprivate var taken: Sampler {
    switch self {
    case .euler: .euler
    case .eulerAncestral: .eulerAncestral
    case .ddim: .ddim
    case .lcm: .consistency
    case .tcd: .trajectoryConsistency
    case .dpmSolver: .dpmSolver
    }
  }

  /// As requests name it.
  package init(_ sampler: Sampler) {
    self =
      switch sampler {
      case .euler: .euler
      case .eulerAncestral: .eulerAncestral
      case .ddim: .ddim
      case .consistency: .lcm
      case .trajectoryConsistency: .tcd
      case .dpmSolver: .dpmSolver
      }
  }
}

extension ImageGenerationRequest.Spacing {
  fileprivate var taken: TimestepSpacing {
    switch self {
    case .trailing: .trailing
    case .leading: .leading
    case .karras: .karras
    case .lcm: .lcm
    }
  }
}

extension ModelDescription {
  /// OpenAI's own styles, which its clients may send: they mean nothing here and are ignored.
  package static let ignoredStyles: Set<String> = ["vivid", "natural"]

  fileprivate func sampler(
    _ wire: ImageGenerationRequest.Sampler?
  ) throws(APIError) -> Sampler? {
    guard let wire else { return nil }
    if samplers.contains(wire.taken) { return wire.taken }
    throw APIError(.unknownSampler(wire.taken, known: samplers))
  }

  fileprivate func spacing(
    _ wire: ImageGenerationRequest.Spacing?
  ) throws(APIError) -> TimestepSpacing? {
    guard let spacing = wire?.taken else { return nil }
    if spacings.contains(spacing) { return spacing }
    throw APIError(.unknownSpacing(spacing, known: spacings))
  }

  fileprivate func clipSkip(_ skip: Int?) throws(APIError) -> Int? {
    guard let skip, skip > maximumClipSkip else { return skip }
    throw APIError(.clipSkip(skip, maximum: maximumClipSkip))
  }

  fileprivate func style(named name: String?) throws(APIError) -> String? {
    guard let name else { return nil }
    if styles.contains(name) { return name }
    if Self.ignoredStyles.contains(name) { return nil }
    throw APIError(.unknownStyle(name.cut(64), known: styles))
  }
}
