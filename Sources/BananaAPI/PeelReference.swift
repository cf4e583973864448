/// A peel to apply, in a request for pictures: `{"name": "pixel-art", "strength": 0.8}`, or only
/// its name as a string.
public struct PeelReference: Sendable, Equatable {
  /// The name that it was installed by.
  public var name: String
  /// 1 is as strong as it was trained, 0 does nothing; -4...4.
  public var strength: Double

  /// A peel by its name, as strong as it was trained unless said otherwise.
  public init(name: String, strength: Double = 1) {
    self.name = name
    self.strength = strength
  }
}

extension PeelReference: Codable {
  private enum CodingKeys: String, CodingKey {
    case name, strength
  }

  public init(from decoder: any Decoder) throws {
    if let name = try? decoder.singleValueContainer().decode(String.self) {
      self.init(name: name)
      return
    }
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      name: try fields.decode(String.self, forKey: .name),
      strength: try fields.decodeIfPresent(Double.self, forKey: .strength) ?? 1)
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(name, forKey: .name)
    try fields.encode(strength, forKey: .strength)
  }
}

/// An embedding (textual inversion) that a prompt named.
public struct AppliedEmbedding: Codable, Sendable, Equatable {
  /// The name that it was installed by.
  public var name: String
  /// As how many tokens it counts.
  public var vectors: Int

  /// An embedding as it was read.
  public init(name: String, vectors: Int) {
    self.name = name
    self.vectors = vectors
  }
}

/// A peel as it was applied to pictures.
public struct AppliedPeel: Codable, Sendable, Equatable {
  /// The name that the request gave.
  public var name: String
  /// The strength that it was drawn with.
  public var strength: Double
  /// Linears and convolutions of the model that it changed; 0 at strength 0.
  public var layers: Int

  /// A peel as it was applied.
  public init(name: String, strength: Double, layers: Int) {
    self.name = name
    self.strength = strength
    self.layers = layers
  }
}
