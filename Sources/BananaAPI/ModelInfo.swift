/// Whether a model can be used, in AICore's words.
public enum ModelStatus: String, Codable, Sendable, CaseIterable {
  case unavailable, downloadable, downloading, available
}

/// The answer to `GET /v1/models`.
public struct ModelList: Codable, Sendable, Equatable {
  /// Always `"list"`.
  public var object = "list"
  public var data: [ModelInfo]

  public init(data: [ModelInfo]) {
    self.data = data
  }
}

/// One model: OpenAI's fields (`id`, `object`, `created`, `owned_by`) and Banana's own.
public struct ModelInfo: Codable, Sendable, Equatable {
  /// A part of the model and the licence under which it is used.
  public struct License: Codable, Sendable, Equatable {
    public var what: String
    public var license: String
    public var source: String

    public init(what: String, license: String, source: String) {
      self.what = what
      self.license = license
      self.source = source
    }
  }

  public var id: String
  /// Always `"model"`.
  public var object = "model"
  /// Seconds since 1970 at which the daemon opened it.
  public var created: Int
  public var ownedBy = "banana"
  public var status: ModelStatus
  public var family: String
  public var version: String
  public var description: String
  public var licenses: [License]
  public var styles: [String]
  public var defaultStyle: String?
  /// `"512x512"`, …
  public var sizes: [String]
  public var nativeSize: String
  public var defaultSteps: Int
  public var defaultGuidance: Double
  public var parameterCount: Int
  public var weightBytes: Int
  /// Bytes beside the weights that one picture of the native size needs.
  public var peakBytes: Int

  public init(
    id: String, created: Int, status: ModelStatus, family: String, version: String,
    description: String, licenses: [License], styles: [String], defaultStyle: String?,
    sizes: [String], nativeSize: String, defaultSteps: Int, defaultGuidance: Double,
    parameterCount: Int, weightBytes: Int, peakBytes: Int
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
    case ownedBy = "owned_by"
    case defaultStyle = "default_style"
    case nativeSize = "native_size"
    case defaultSteps = "default_steps"
    case defaultGuidance = "default_guidance"
    case parameterCount = "parameter_count"
    case weightBytes = "weight_bytes"
    case peakBytes = "peak_bytes"
  }
}
