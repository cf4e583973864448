package import Imaging
package import Models

/// One request for pictures, complete and checked: what goes from the wire to the sampler.
package struct PictureRequest: Sendable, Equatable {
  /// What is behind the object in the picture.
  package enum Background: String, Sendable, Equatable {
    case transparent
    /// Composed over white.
    case opaque
  }

  /// Strengths that leave a sampler something to do.
  package static let strengths: ClosedRange<Float> = 0.001...1

  /// Any Unicode, not blank.
  package var prompt: String
  /// What there shall not be, any Unicode; means nothing without guidance.
  package var negativePrompt: String
  /// One of the model's styles; nil is its default style.
  package var style: String?
  /// The layer of the text network that is read, counted from its last, 1...; nil is the last.
  package var clipSkip: Int?
  /// One of the model's.
  package var size: PictureSize
  /// Denoising steps, 1...50; nil is the model's default.
  package var steps: Int?
  /// Strength of classifier-free guidance, 0...30; 1 is none, nil the model's default.
  package var guidance: Float?
  /// Nil is the model's.
  package var sampler: Sampler?
  /// Nil is the model's, or what goes with the sampler.
  package var spacing: TimestepSpacing?
  /// Seed of the first picture; picture `i` uses `seed &+ i`.
  package var seed: UInt64
  /// How many pictures, 1...10.
  package var count: Int
  package var background: Background
  /// Previews to make of each picture, 0...3.
  package var previews: Int
  package var peels: [PeelUse]
  /// Embeddings that the prompts name, each of a file with one.
  package var words: [PeelUse] = []
  /// At most one of each role that is not `reference`; a mask has the size of its source.
  package var images: [ImageInput]
  /// How much of the source may change, one of `strengths`; 1 keeps nothing.
  package var strength: Float
  /// Writes into the PNG what drew it.
  package var marksProvenance: Bool

  package init(
    prompt: String, negativePrompt: String = "", style: String? = nil, clipSkip: Int? = nil,
    size: PictureSize,
    steps: Int? = nil, guidance: Float? = nil, sampler: Sampler? = nil,
    spacing: TimestepSpacing? = nil, seed: UInt64 = 0, count: Int = 1,
    background: Background = .transparent, previews: Int = 0, peels: [PeelUse] = [],
    images: [ImageInput] = [], strength: Float = 1, marksProvenance: Bool = true
  ) {
    self.prompt = prompt
    self.negativePrompt = negativePrompt
    self.style = style
    self.clipSkip = clipSkip
    self.size = size
    self.steps = steps
    self.guidance = guidance
    self.sampler = sampler
    self.spacing = spacing
    self.seed = seed
    self.count = count
    self.background = background
    self.previews = previews
    self.peels = peels
    self.images = images
    self.strength = strength
    self.marksProvenance = marksProvenance
  }

  /// The first image of a role.
  package func image(_ role: ImageInput.Role) -> ImageInput? {
    images.first { $0.role == role }
  }

  /// Whether it changes a picture.
  package var isEdit: Bool { image(.source) != nil }

  /// Whether pictures of both may be in one pass of the denoiser.
  package func sharesPass(with other: PictureRequest) -> Bool {
    (size, steps, sampler, spacing, strength)
      == (other.size, other.steps, other.sampler, other.spacing, other.strength)
      && peels == other.peels
  }

  /// The same with images no larger than drawing needs them, which take less memory while it
  /// waits; it gives the same pictures.
  /// - Parameter size: As the model offers `self.size`.
  package func fitted(to size: OfferedSize) -> PictureRequest {
    var fitted = self
    let isMasked = image(.mask) != nil
    fitted.images = images.map { $0.fitted(to: size, isShown: isMasked) }
    return fitted
  }
}

/// An image that comes with a request.
package struct ImageInput: Sendable, Equatable {
  package enum Role: String, Sendable {
    /// The picture to change.
    case source
    /// Alpha 0 is where the source is drawn anew.
    case mask
    /// What a thing in the picture looks like.
    case reference
    /// Where things are: a pose, edges, depth.
    case control
  }

  package let role: Role
  /// Of any size; once it is fitted, of that at which the model draws.
  package let image: PremultipliedImage
  /// Once it is fitted and parts of it are in the finished picture: the same at the size that was
  /// asked for; nil where that is the image's.
  private let shown: PremultipliedImage?

  package init(_ image: PremultipliedImage, role: Role) {
    self.init(image, role: role, shown: nil)
  }

  private init(_ image: PremultipliedImage, role: Role, shown: PremultipliedImage?) {
    self.image = image
    self.role = role
    self.shown = shown
  }

  /// Bytes that it takes.
  package var byteCount: Int {
    (image.rgba.count + (shown?.rgba.count ?? 0)) * MemoryLayout<SIMD4<Float>>.stride
  }

  /// At the size that was asked for.
  /// - Precondition: It is fitted, and shown.
  var atShownSize: PremultipliedImage { shown ?? image }

  /// - Parameter isShown: Whether parts of it are in the finished picture.
  fileprivate func fitted(to size: OfferedSize, isShown: Bool) -> ImageInput {
    let shownSize = isShown && size.size != size.drawn ? size.size : nil
    if image.size == size.drawn, shown?.size == shownSize { return self }
    return ImageInput(
      fitted(into: size.drawn), role: role, shown: shownSize.map { fitted(into: $0) })
  }

  private func fitted(into size: PictureSize) -> PremultipliedImage {
    image.fitted(
      intoWidth: size.width, height: size.height, isOpaqueOutside: role == .mask)
  }
}

extension PremultipliedImage {
  package var size: PictureSize { PictureSize(width: width, height: height) }
}
