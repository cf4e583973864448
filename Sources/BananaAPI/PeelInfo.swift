extension Route {
  /// Peels that are installed: listed by GET, installed by POST.
  public static let peels = "/v1/peels"

  /// `/v1/peels/{name}`.
  public static func peel(_ name: String) -> String { "\(peels)/\(name)" }
}

/// The answer to `GET /v1/peels`.
public struct PeelList: Codable, Sendable, Equatable {
  /// Always `"list"`.
  public var object = "list"
  /// The peels that the caller can draw with.
  public var data: [PeelInfo]

  /// A list of these peels.
  public init(data: [PeelInfo]) {
    self.data = data
  }
}

/// One peel (a LoRA adapter) that the asking user can draw with.
public struct PeelInfo: Codable, Sendable, Equatable {
  /// Who can draw with it.
  public enum Scope: String, Codable, Sendable, CaseIterable {
    /// Everybody: it came with Banana.
    case shipped
    /// Everybody: it was installed through the admin socket.
    case shared
    /// The user who installed it.
    case `private`
  }

  /// The name that requests give.
  public var name: String
  /// Always `"peel"`.
  public var object = "peel"
  /// Who can draw with it.
  public var scope: Scope
  /// Length of the file.
  public var bytes: Int
  /// Of the file, in lower-case hexadecimal.
  public var sha256: String
  /// The largest rank of its updates.
  public var rank: Int
  /// How many of the model's weights it changes.
  public var targets: Int
  /// For an embedding (textual inversion), as how many tokens its name counts in a prompt; nil for
  /// a LoRA.
  public var vectors: Int?
  /// Seconds since 1970; nil for one that came with Banana.
  public var installedAt: Int?
  /// What its author calls it.
  public var title: String?
  /// Words to put into the prompt.
  public var triggerWords: [String]
  /// Under which its author gives it away.
  public var license: String?
  /// The model that it was made for, as its file names it.
  public var baseModel: String?
  /// The installed models that it can be used with; nil from a daemon that does not say.
  public var models: [String]?
  /// How it is drawn with, where it is known to make models draw in few steps.
  public var recipe: PeelRecipe?
  /// What the file says of itself; only in the answer to `GET /v1/peels/{name}`.
  public var metadata: [String: String]?
  /// What is to be known before drawing with it, in sentences: what of its texts was cut, numbers
  /// that are suspiciously large. Only in the answers to `POST /v1/peels` and
  /// `GET /v1/peels/{name}`.
  public var warnings: [String]?

  /// A peel; every argument is the property of its name.
  public init(
    name: String, scope: Scope, bytes: Int, sha256: String, rank: Int, targets: Int,
    installedAt: Int?, title: String?, triggerWords: [String], license: String?,
    baseModel: String?, vectors: Int? = nil, recipe: PeelRecipe? = nil, metadata: [String: String]?,
    warnings: [String]? = nil
  ) {
    self.name = name
    self.scope = scope
    self.bytes = bytes
    self.sha256 = sha256
    self.rank = rank
    self.targets = targets
    self.installedAt = installedAt
    self.title = title
    self.triggerWords = triggerWords
    self.license = license
    self.baseModel = baseModel
    self.vectors = vectors
    self.recipe = recipe
    self.metadata = metadata
    self.warnings = warnings
  }

  private enum CodingKeys: String, CodingKey {
    case name, object, scope, bytes, sha256, rank, targets, title, license, metadata
    case warnings, models, recipe, vectors
    case installedAt = "installed_at"
    case triggerWords = "trigger_words"
    case baseModel = "base_model"
  }
}

/// The answer to `DELETE /v1/peels/{name}`.
public struct PeelRemoval: Codable, Sendable, Equatable {
  /// The peel that is gone.
  public var name: String
  /// Always `"peel.deleted"`.
  public var object = "peel.deleted"
  /// True when jobs that began before still draw with it; they end undisturbed.
  public var inUse: Bool

  /// What became of a removal.
  public init(name: String, inUse: Bool) {
    self.name = name
    self.inUse = inUse
  }

  private enum CodingKeys: String, CodingKey {
    case name, object
    case inUse = "in_use"
  }
}

/// What holds for every peel.
public enum PeelLimits {
  /// Bytes of a peel's file.
  public static let fileBytes = 1 << 30
  /// Characters of a name.
  public static let nameCharacters = 64
  /// How long removing a peel waits for the jobs that draw with it, unless the request says.
  public static let removalSeconds = 0...300

  /// Whether `name` matches `[a-z0-9][a-z0-9._-]{0,63}`.
  public static func isName(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    guard (1...nameCharacters).contains(bytes.count) else { return false }
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      default: false
      }
    }
    let punctuation = Array("._-".utf8)
    return isAlphanumeric(bytes[0])
      && bytes.allSatisfy { isAlphanumeric($0) || punctuation.contains($0) }
  }
}
