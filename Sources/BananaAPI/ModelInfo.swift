/// Whether a model can be used, in AICore's words.
public enum ModelStatus: String, Codable, Sendable, CaseIterable {
  /// It cannot be had on this machine.
  case unavailable
  /// It is not here and could be fetched.
  case downloadable
  /// It is being fetched.
  case downloading
  /// It is here and can draw; what is not open opens for the first request.
  case available
}

/// Where a model is on its way into memory.
public enum ModelState: String, Codable, Sendable, CaseIterable {
  /// Only on the disk.
  case closed
  /// On its way: requests for it wait.
  case opening
  /// In memory.
  case open
  /// It cannot be opened.
  case failed
}

/// The answer to `GET /v1/models`.
public struct ModelList: Codable, Sendable, Equatable {
  /// Always `"list"`.
  public var object = "list"
  /// The models of this daemon.
  public var data: [ModelInfo]

  /// A list of these models.
  public init(data: [ModelInfo]) {
    self.data = data
  }
}

/// One model: OpenAI's fields (`id`, `object`, `created`, `owned_by`) and Banana's own.
public struct ModelInfo: Codable, Sendable, Equatable {
  /// A part of the model and the licence under which it is used.
  public struct License: Codable, Sendable, Equatable {
    /// What is licensed, for example the training pictures.
    public var what: String
    /// The licence's SPDX name.
    public var license: String
    /// Where it came from.
    public var source: String

    /// The licence of one part of a model.
    public init(what: String, license: String, source: String) {
      self.what = what
      self.license = license
      self.source = source
    }
  }

  /// Sizes that are too many to list: width and height are each a multiple of some pixels.
  public struct SizeRule: Codable, Sendable, Equatable {
    /// Pixels.
    public var multipleOf: Int
    /// The shortest side, in pixels.
    public var minimum: Int
    /// The longest side, in pixels.
    public var maximum: Int

    /// Every multiple of so many pixels from `minimum` to `maximum`.
    public init(multipleOf: Int, minimum: Int, maximum: Int) {
      self.multipleOf = multipleOf
      self.minimum = minimum
      self.maximum = maximum
    }

    private enum CodingKeys: String, CodingKey {
      case multipleOf = "multiple_of"
      case minimum, maximum
    }
  }

  /// The name that requests give.
  public var id: String
  /// The model that draws when this is only another name for it (`model_aliases`); else nil.
  public var aliasOf: String?
  /// Always `"model"`.
  public var object = "model"
  /// Seconds since 1970 at which its package was written.
  public var created: Int
  /// Always `banana`: OpenAI's field.
  public var ownedBy = "banana"
  /// Whether pictures can be drawn with it.
  public var status: ModelStatus
  /// Whether it is in memory; nil from a daemon that does not say.
  public var state: ModelState?
  /// What is done of its opening, 0 to 1; nil for what is not being opened.
  public var progress: Double?
  /// Why it cannot be used; nil for what can.
  public var reason: String?
  /// Whether it draws for requests that name no model; nil from a daemon that does not say.
  public var isDefault: Bool?
  /// The kind of network that it is.
  public var family: String
  /// Of the model's package.
  public var version: String
  /// What it draws, for people.
  public var description: String
  /// Of its code, its weights and what it was trained on.
  public var licenses: [License]
  /// The styles that requests may name; none for a model that has not been open yet, and likewise
  /// for what comes after this.
  public var styles: [String]
  /// What is drawn when a request names no style.
  public var defaultStyle: String?
  /// `"512x512"`, …; where there is a `sizeRule`, only the native one.
  public var sizes: [String]
  /// What all sizes have in common where they are too many to list.
  public var sizeRule: SizeRule?
  /// The size that it draws best, as `WIDTHxHEIGHT`.
  public var nativeSize: String?
  /// Denoising steps when a request does not say.
  public var defaultSteps: Int?
  /// Guidance when a request does not say.
  public var defaultGuidance: Double?
  /// Sampler when a request does not say, as requests name it.
  public var defaultSampler: String?
  /// Samplers that requests may name.
  public var samplers: [String]?
  /// Spacing when a request does not say, as requests name it; nil where levels of noise are the
  /// model's own.
  public var defaultSpacing: String?
  /// Spacings that requests may name.
  public var spacings: [String]?
  /// The largest `clip_skip` that requests may name; 1 where there is nothing to skip.
  public var maximumClipSkip: Int?
  /// Numbers that were trained.
  public var parameterCount: Int?
  /// Of its files.
  public var weightBytes: Int
  /// Bytes beside the weights that one picture of the native size needs.
  public var peakBytes: Int?

  /// A model; every argument is the property of its name.
  public init(
    id: String, created: Int, status: ModelStatus, family: String, version: String,
    description: String, licenses: [License], styles: [String], defaultStyle: String?,
    sizes: [String], nativeSize: String?, defaultSteps: Int?, defaultGuidance: Double?,
    parameterCount: Int?, weightBytes: Int, peakBytes: Int?
  ) {
    self.id = id
    self.created = created
    self.status = status
    self.family = family
    self.version = version
    self.description = description
    self.licenses = licenses
    self.styles = styles
    self.defaultStyle = defaultStyle
    self.sizes = sizes
    self.nativeSize = nativeSize
    self.defaultSteps = defaultSteps
    self.defaultGuidance = defaultGuidance
    self.parameterCount = parameterCount
    self.weightBytes = weightBytes
    self.peakBytes = peakBytes
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, created, status, family, version, description, licenses, styles, sizes
    case state, progress, reason, samplers, spacings
    case isDefault = "is_default"
    case aliasOf = "alias_of"
    case ownedBy = "owned_by"
    case defaultStyle = "default_style"
    case nativeSize = "native_size"
    case sizeRule = "size_rule"
    case maximumClipSkip = "maximum_clip_skip"
    case defaultSteps = "default_steps"
    case defaultGuidance = "default_guidance"
    case defaultSampler = "default_sampler"
    case defaultSpacing = "default_spacing"
    case parameterCount = "parameter_count"
    case weightBytes = "weight_bytes"
    case peakBytes = "peak_bytes"
  }
}
