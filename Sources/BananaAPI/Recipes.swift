/// How what a peel was distilled to is sampled, where a request says nothing.
public struct PeelRecipe: Codable, Sendable, Equatable {
  /// What it was distilled by, and where its file is for one number of steps, to how many: `lcm`,
  /// `hyper-sd-8`.
  public var name: String
  /// As requests name it, as the next one.
  public var sampler: String
  /// Which levels of noise.
  public var spacing: String
  /// Denoising steps.
  public var steps: Int
  /// 1 is none.
  public var guidance: Double

  /// A recipe; every argument is the property of its name.
  public init(name: String, sampler: String, spacing: String, steps: Int, guidance: Double) {
    self.name = name
    self.sampler = sampler
    self.spacing = spacing
    self.steps = steps
    self.guidance = guidance
  }
}

/// How pictures were sampled.
public struct AppliedRecipe: Codable, Sendable, Equatable {
  /// Who says what the request leaves open.
  public enum Source: String, Codable, Sendable, CaseIterable {
    /// The model's own recipe.
    case model
    /// That of a peel that was distilled to few steps.
    case peel
  }

  /// Whose recipe it is, but for what is in `requested`.
  public var source: Source
  /// The peel's name, where it is a peel's.
  public var peel: String?
  /// What the peel was distilled by, as `PeelRecipe.name`.
  public var kind: String?
  /// As requests name it, as the next one.
  public var sampler: String
  /// Nil where levels of noise are the model's own.
  public var spacing: String?
  /// Denoising steps that were asked for; a picture that is changed takes fewer.
  public var steps: Int
  /// 1 is none.
  public var guidance: Double
  /// The fields of it that the request said itself.
  public var requested: [String]

  /// A recipe as it was used; every argument is the property of its name.
  public init(
    source: Source, peel: String? = nil, kind: String? = nil, sampler: String, spacing: String?,
    steps: Int, guidance: Double, requested: [String]
  ) {
    self.source = source
    self.peel = peel
    self.kind = kind
    self.sampler = sampler
    self.spacing = spacing
    self.steps = steps
    self.guidance = guidance
    self.requested = requested
  }
}
