package import Execution
package import Imaging
package import Weights

/// What to draw.
package struct Drawing: Sendable {
  package var prompt: String
  /// One of the model's styles; its default one if nil.
  package var style: String?
  /// Strength of classifier-free guidance; 1 is none, nil the model's default.
  package var guidance: Float?
  /// What to change, if it is not drawn from nothing.
  package var source: SourcePicture?

  package init(
    prompt: String, style: String? = nil, guidance: Float? = nil, source: SourcePicture? = nil
  ) {
    self.prompt = prompt
    self.style = style
    self.guidance = guidance
    self.source = source
  }
}

/// A picture to change.
package struct SourcePicture: Sendable {
  /// Of any size; fitted into the model's pictures.
  package let image: PremultipliedImage
  /// Alpha 0 is where to draw anew; everywhere if nil.
  package let mask: PremultipliedImage?

  package init(image: PremultipliedImage, mask: PremultipliedImage?) {
    self.image = image
    self.mask = mask
  }
}

/// What the pictures of one pass share.
package struct PassSettings: Sendable {
  /// Pixels on a side, one of the model's sizes.
  package var size: Int
  /// The model's default if nil.
  package var steps: Int?
  /// How much of a source picture may change, above 0 and at most 1.
  package var strength: Double
  package var peels: [WeightedPeel]

  package init(
    size: Int, steps: Int? = nil, strength: Double = 1, peels: [WeightedPeel] = []
  ) {
    self.size = size
    self.steps = steps
    self.strength = strength
    self.peels = peels
  }
}

/// Why no picture was drawn.
package enum GenerationError: Error, CustomStringConvertible {
  case unknownStyle(String, known: [String])
  case unknownSize(Int, known: [Int])
  /// The model is distilled and has guidance folded in.
  case fixedGuidance(Float)
  case peel(PeelError)
  /// The ranks of the peels that change one layer add up to too much.
  case excessiveRank(Int, maximum: Int)
  case execution(ExecutionError)

  package var description: String {
    switch self {
    case .unknownStyle(let style, let known):
      "this model has no style \"\(style)\"; it has \(known.joined(separator: ", "))"
    case .unknownSize(let size, let known):
      "this model draws pictures of \(known.map(String.init).joined(separator: ", ")) pixels,"
        + " not \(size)"
    case .fixedGuidance(let guidance):
      "this model is distilled and has guidance built in; \(guidance) cannot be set. Leave "
        + "guidance out"
    case .peel(let error): "\(error)"
    case .excessiveRank(let rank, let maximum):
      "the peels have rank \(rank) together and at most \(maximum) is possible; use fewer of them"
    case .execution(let error): "\(error)"
    }
  }
}
