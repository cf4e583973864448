package import Execution
package import Models
package import Weights

/// Why no picture was drawn.
package enum GenerationError: Error, Equatable, CustomStringConvertible {
  case unknownStyle(String, known: [String])
  case unknownSize(PictureSize, known: [PictureSize])
  /// The model has no network that could read such a picture.
  case imageRole(ImageInput.Role)
  /// The text network has no such layer.
  case clipSkip(Int, maximum: Int)
  /// The model is distilled and has guidance folded in.
  case fixedGuidance(Float)
  case peel(PeelError)
  /// The model cannot be walked so.
  case unknownSampler(Sampler, known: [Sampler])
  /// The model has no such steps of training; none at all if nothing is known.
  case unknownSpacing(TimestepSpacing, known: [TimestepSpacing])
  /// There are no falling noise levels for these numbers.
  case noSchedule(steps: Int, strength: Float)
  /// Pictures that cannot be drawn in one pass.
  case unequalShapes
  /// The ranks of the peels that change one layer add up to too much.
  case excessiveRank(Int, maximum: Int)
  case execution(ExecutionError)

  /// What is said of a choice that the model does not have.
  package static func notOffered(_ field: String, _ choice: String, known: [String]) -> String {
    let choices = known.map { "\"\($0)\"" }.joined(separator: ", ")
    return "This model cannot be drawn with the \(field) \"\(choice)\". Use \(choices), or leave "
      + "\(field) out."
  }

  package var description: String {
    switch self {
    case .unknownStyle(let style, let known):
      known.isEmpty
        ? "This model has no styles. Leave style out."
        : Self.notOffered("style", style, known: known)
    case .unknownSize(let size, let known):
      "This model does not draw \(size); the nearest that it draws is \(known.nearest(to: size)). "
        + "It draws \(known.words)."
    case .imageRole(.source), .imageRole(.mask):
      "this model cannot start from a picture; leave the image out"
    case .imageRole(let role): "this model takes no \(role) image; leave it out"
    case .clipSkip(let skip, let maximum):
      maximum == 1
        ? "this model has no layers to skip; leave clip_skip out"
        : "clip_skip is \(skip); this model can read the last layer of its text encoder (1) up to "
          + "the one \(maximum) from the end (\(maximum))"
    case .fixedGuidance(let guidance):
      "this model is distilled and has guidance built in; \(guidance) cannot be set. Leave "
        + "guidance out"
    case .unknownSampler(let sampler, let known):
      Self.notOffered("sampler", sampler.rawValue, known: known.map(\.rawValue))
    case .unknownSpacing(let spacing, let known):
      known.isEmpty
        ? "This model cannot be drawn with a spacing: its levels of noise are its own. Leave "
          + "spacing out."
        : Self.notOffered("spacing", spacing.rawValue, known: known.map(\.rawValue))
    case .noSchedule(let steps, let strength):
      "there are no noise levels for \(steps) steps with a strength of \(strength). Ask for fewer "
        + "steps, or for a strength between "
        + "\(PictureRequest.strengths.lowerBound) and \(PictureRequest.strengths.upperBound)"
    case .unequalShapes:
      "pictures of unequal shapes were put into one pass; ask for them one after another"
    case .peel(let error): "\(error)"
    case .excessiveRank(let rank, let maximum):
      "the peels have rank \(rank) together and at most \(maximum) is possible; use fewer of them"
    case .execution(let error): "\(error)"
    }
  }
}
