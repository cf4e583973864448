package import BananaAPI
package import Diffusion
import Models

extension PictureRequest {
  /// Completes a wire request with the model's facts.
  /// - Parameters:
  ///   - wire: Already validated.
  ///   - randomSeed: Used when the request names no seed.
  ///   - peels: What the request's names stand for.
  /// - Throws: `APIError` for a size, style, sampler or spacing that is not `model`'s.
  package init(
    _ wire: ImageGenerationRequest, model: ModelDescription,
    randomSeed: UInt64, peels: [PeelUse] = []
  ) throws(APIError) {
    let size = try model.size(named: wire.size, isStrict: wire.strictSize ?? false)
    self.init(
      prompt: Self.printable(wire.prompt),
      negativePrompt: Self.printable(wire.negativePrompt ?? ""),
      style: try model.style(named: wire.style),
      size: PictureSize(width: size.width, height: size.height), steps: wire.steps,
      guidance: wire.guidance.map { Float($0) }, sampler: try model.sampler(wire.sampler),
      spacing: try model.spacing(wire.spacing), seed: wire.seed ?? randomSeed,
      count: wire.count ?? 1,
      background: wire.background == .opaque ? .opaque : .transparent,
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
  init(_ sampler: Sampler) {
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

extension ModelDescription {
  /// OpenAI's own styles, which its clients may send: they mean nothing here and are ignored.
  package static let ignoredStyles: Set<String> = ["vivid", "natural"]

  fileprivate func sampler(
    _ wire: ImageGenerationRequest.Sampler?
  ) throws(APIError) -> Sampler? {
    guard let wire else { return nil }
    if samplers.contains(wire.taken) { return wire.taken }
    let known = samplers.map { "\"\(ImageGenerationRequest.Sampler($0).rawValue)\"" }
    throw APIError(
      .invalidRequest,
      "The model \(name) cannot be drawn with the sampler \"\(wire.rawValue)\". Use "
        + "\(known.joined(separator: ", ")), or leave sampler out.", param: "sampler")
  }

  fileprivate func spacing(
    _ wire: ImageGenerationRequest.Spacing?
  ) throws(APIError) -> TimestepSpacing? {
    guard let wire else { return nil }
    if let spacing = spacings.first(where: { $0.rawValue == wire.rawValue }) { return spacing }
    let known = spacings.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    throw APIError(
      .invalidRequest,
      "The model \(name) cannot be drawn with the spacing \"\(wire.rawValue)\""
        + (spacings.isEmpty
          ? ": its levels of noise are its own. Leave spacing out."
          : ". Use \(known), or leave spacing out."),
      param: "spacing")
  }

  fileprivate func style(named name: String?) throws(APIError) -> String? {
    guard let name else { return nil }
    if styles.contains(name) { return name }
    if Self.ignoredStyles.contains(name) { return nil }
    let known = styles.map { "\"\($0)\"" }.joined(separator: ", ")
    throw APIError(
      .invalidRequest,
      styles.isEmpty
        ? "The model \(self.name) has no styles. Leave style out."
        : "style \"\(name.prefix(64))\" is not known to \(self.name). Use \(known).",
      param: "style")
  }
}
