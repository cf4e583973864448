package import Models

/// What clients are told about a model that is open, and what requests are checked against.
package struct ModelDescription: Sendable, Equatable {
  /// A part of the model or of its training data, and under which licence it is used.
  package struct License: Sendable, Equatable {
    package var what: String
    /// An SPDX identifier.
    package var license: String
    package var source: String

    package init(what: String, license: String, source: String) {
      self.what = what
      self.license = license
      self.source = source
    }
  }

  /// A size of the model's as the engine knows it; its native one for any other.
  package func offered(_ size: PictureSize) -> OfferedSize {
    sizes.first { $0.size == size } ?? nativeSize
  }

  package var name: String
  package var family: String
  package var version: String
  package var description: String
  package var licenses: [License]
  /// Empty when the model knows no styles.
  package var styles: [String]
  package var defaultStyle: String?
  /// Never empty.
  package var sizes: [OfferedSize]
  /// The size that `"auto"` stands for; one of `sizes`.
  package var nativeSize: OfferedSize
  /// Bytes that drawing one picture of that size needs beside the weights, from the plan.
  package var peakBytes: Int
  /// Whether nothing shows through its pictures.
  package var isOpaque: Bool
  package var defaultSteps: Int
  package var defaultGuidance: Float
  package var defaultSampler: Sampler
  package var samplers: [Sampler]
  /// Nil where there are none.
  package var defaultSpacing: TimestepSpacing?
  /// Empty where levels of noise are the model's own.
  package var spacings: [TimestepSpacing]
  package var guidanceForm: GuidanceForm
  /// The largest `clip_skip`; 1 where the text network has no other layer to read.
  package var maximumClipSkip: Int
  /// Whether it was trained for its own sampler alone.
  package var isDistilled: Bool { guidanceForm == .folded || defaultSampler.isForDistilled }
  /// The spacing where a request names the sampler and none.
  package func spacing(for sampler: Sampler) -> TimestepSpacing? {
    let isForeign = sampler.isForDistilled && sampler != defaultSampler
    return isForeign && !spacings.isEmpty ? .lcm : defaultSpacing
  }
  package var parameterCount: Int
  /// Bytes of the mapped weight files.
  package var weightBytes: Int
  /// What computes, as a person reads it: "cpu (avx512vnni, 2 threads)".
  package var backend: String

  package init(
    name: String, family: String, version: String, description: String,
    licenses: [License] = [], styles: [String] = [], defaultStyle: String? = nil,
    sizes: [OfferedSize], nativeSize: OfferedSize, peakBytes: Int, isOpaque: Bool = false,
    defaultSteps: Int,
    defaultGuidance: Float,
    defaultSampler: Sampler = .euler, samplers: [Sampler] = Sampler.allCases,
    defaultSpacing: TimestepSpacing? = .trailing,
    spacings: [TimestepSpacing] = TimestepSpacing.allCases,
    guidanceForm: GuidanceForm = .classifierFree, maximumClipSkip: Int = 1,
    parameterCount: Int, weightBytes: Int, backend: String
  ) {
    precondition(!sizes.isEmpty && sizes.contains(nativeSize))
    precondition(defaultStyle.map(styles.contains) ?? true)
    self.name = name
    self.family = family
    self.version = version
    self.description = description
    self.licenses = licenses
    self.styles = styles
    self.defaultStyle = defaultStyle
    self.sizes = sizes
    self.nativeSize = nativeSize
    self.peakBytes = peakBytes
    self.isOpaque = isOpaque
    self.defaultSteps = defaultSteps
    self.defaultGuidance = defaultGuidance
    self.defaultSampler = defaultSampler
    self.samplers = samplers
    self.defaultSpacing = defaultSpacing
    self.spacings = spacings
    self.guidanceForm = guidanceForm
    self.maximumClipSkip = maximumClipSkip
    self.parameterCount = parameterCount
    self.weightBytes = weightBytes
    self.backend = backend
  }
}
