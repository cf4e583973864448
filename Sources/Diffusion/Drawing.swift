package import Execution
package import Imaging
package import Models
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
package struct SourcePicture: Sendable, Equatable {
  /// Of any size; fitted into the model's pictures.
  package let image: PremultipliedImage
  /// Alpha 0 is where to draw anew; everywhere if nil. Of the image's size.
  package let mask: PremultipliedImage?
  /// Both at the size that is asked for, once they are fitted and if that is another than the
  /// model's.
  private let kept: Kept?

  private struct Kept: Sendable, Equatable {
    var size: PictureSize
    var image: PremultipliedImage
    var mask: PremultipliedImage
  }

  package init(image: PremultipliedImage, mask: PremultipliedImage?) {
    self.init(image: image, mask: mask, kept: nil)
  }

  private init(image: PremultipliedImage, mask: PremultipliedImage?, kept: Kept?) {
    self.image = image
    self.mask = mask
    self.kept = kept
  }

  /// Bytes that the pictures take.
  package var byteCount: Int {
    // At the model's own size they are the same ones.
    let other = kept?.size == image.size ? nil : kept
    let pictures = [image, mask, other?.image, other?.mask]
    return pictures.reduce(0) { $0 + ($1?.rgba.count ?? 0) } * MemoryLayout<SIMD4<Float>>.stride
  }

  /// What drawing needs of it and no more; drawing from that gives the same pictures.
  /// - Parameter size: Of the pictures that are asked for.
  package func fitted(to size: OfferedSize) -> SourcePicture {
    let drawn = size.drawn
    if image.size == drawn, mask == nil || kept?.size == size.size { return self }
    return SourcePicture(
      image: image.fitted(into: drawn), mask: mask?.fitted(into: drawn, isOpaqueOutside: true),
      kept: mask.map { mask in
        Kept(
          size: size.size, image: image.fitted(into: size.size),
          mask: mask.fitted(into: size.size, isOpaqueOutside: true))
      })
  }

  /// What the mask keeps, at the size that is asked for; nil without a mask.
  /// - Precondition: It is fitted.
  var keptPictures: (image: PremultipliedImage, mask: PremultipliedImage)? {
    kept.map { ($0.image, $0.mask) }
  }
}

/// What the pictures of one pass share.
package struct PassSettings: Equatable, Sendable {
  /// Strengths that leave a sampler something to do.
  package static let strengths: ClosedRange<Float> = 0.001...1

  /// One of the model's.
  package var size: PictureSize
  /// The model's default if nil.
  package var steps: Int?
  /// How much of a source picture may change, one of `strengths`.
  package var strength: Float
  package var peels: [WeightedPeel]

  package init(
    size: PictureSize, steps: Int? = nil, strength: Float = 1, peels: [WeightedPeel] = []
  ) {
    self.size = size
    self.steps = steps
    self.strength = strength
    self.peels = peels
  }
}

/// Why no picture was drawn.
package enum GenerationError: Error, Equatable, CustomStringConvertible {
  case unknownStyle(String, known: [String])
  case unknownSize(PictureSize, known: [PictureSize])
  /// The model has no network that could read a picture.
  case noSource
  /// The model is distilled and has guidance folded in.
  case fixedGuidance(Float)
  case peel(PeelError)
  /// There are no falling noise levels for these numbers.
  case noSchedule(steps: Int, strength: Float)
  /// Pictures that cannot be drawn in one pass.
  case unequalShapes
  /// The ranks of the peels that change one layer add up to too much.
  case excessiveRank(Int, maximum: Int)
  case execution(ExecutionError)

  package var description: String {
    switch self {
    case .unknownStyle(let style, let known):
      "this model has no style \"\(style)\"; it has \(known.joined(separator: ", "))"
    case .unknownSize(let size, let known):
      "this model draws pictures of \(known.map(\.description).joined(separator: ", ")) pixels,"
        + " not \(size)"
    case .noSource: "this model cannot start from a picture; leave the image out"
    case .fixedGuidance(let guidance):
      "this model is distilled and has guidance built in; \(guidance) cannot be set. Leave "
        + "guidance out"
    case .noSchedule(let steps, let strength):
      "there are no noise levels for \(steps) steps with a strength of \(strength). Ask for fewer "
        + "steps, or for a strength between "
        + "\(PassSettings.strengths.lowerBound) and \(PassSettings.strengths.upperBound)"
    case .unequalShapes:
      "pictures of unequal shapes were put into one pass; ask for them one after another"
    case .peel(let error): "\(error)"
    case .excessiveRank(let rank, let maximum):
      "the peels have rank \(rank) together and at most \(maximum) is possible; use fewer of them"
    case .execution(let error): "\(error)"
    }
  }
}

extension PremultipliedImage {
  package var size: PictureSize { PictureSize(width: width, height: height) }

  fileprivate func fitted(
    into size: PictureSize, isOpaqueOutside: Bool = false
  ) -> PremultipliedImage {
    fitted(intoWidth: size.width, height: size.height, isOpaqueOutside: isOpaqueOutside)
  }
}
