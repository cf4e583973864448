/// How a file's metadata says that its updates are scaled: `alpha / rank`, or with rsLoRA
/// `alpha / sqrt(rank)` (Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning
/// with LoRA").
///
/// PEFT's configuration comes as JSON under `lora_adapter_metadata`, or field by field, with the
/// network's root in front of each key where there are several: `transformer.lora_alpha`. Trainers
/// write one alpha for all layers under `lora_alpha`, `network_alpha`, `ss_network_alpha` or
/// `alpha`.
struct PeelScales {
  /// The part of PEFT's `LoraConfig` that decides about scales.
  private struct Configuration: Equatable {
    var alpha: Float?
    var alphaPattern = LayerPatterns<Float>()
    var isRankStabilized = false
  }

  /// Whether the file says that it is a DoRA.
  private(set) var isDecomposed = false

  /// PEFT's own.
  private static let defaultAlpha: Float = 8
  /// Bytes of PEFT's configuration; one of a thousand layers has a tenth.
  private static let maximumBytes = 1 << 20

  /// By the root that they are written under.
  private var configurations: [String: Configuration] = [:]
  /// For layers whose root has none: of each network the first, by their roots, and the first that
  /// says something else.
  private var byNetwork: [PeelNetwork: (first: String, other: String?)] = [:]
  /// Of the whole file, and the key that says so.
  private var common: (alpha: Float, key: String)?

  init(_ metadata: [String: String]) throws(PeelError) {
    try readCommon(metadata)
    let configuration = metadata["lora_adapter_metadata"].map { [(path: [String](), text: $0)] }
    for (path, text) in configuration ?? Self.fields(of: metadata) {
      let place = path.first?.excerpt ?? "lora_adapter_metadata"
      guard text.utf8.count <= Self.maximumBytes else { throw .invalidConfiguration(where: place) }
      let leaves: [JSONLeaf]
      do throws(JSONError) { leaves = try JSONLeaf.leaves(of: text, under: path) } catch {
        throw .invalidConfiguration(where: place)
      }
      for leaf in leaves { try read(leaf, place) }
    }
    indexNetworks()
  }

  /// What the product of an update's two factors is multiplied by, if its layer has no alpha of
  /// its own.
  /// - Throws: `PeelError.ambiguousAlpha` if only other networks have an alpha, and not one.
  func scale(of name: PeelName, rank: Int) throws(PeelError) -> Float {
    guard let configuration = try configuration(for: name) else {
      return (common?.alpha ?? Float(rank)) / Float(rank)
    }
    let alpha =
      configuration.alphaPattern.value(for: name.target) ?? configuration.alpha ?? common?.alpha
      ?? Self.defaultAlpha
    let rank = Float(rank)
    return alpha / (configuration.isRankStabilized ? rank.squareRoot() : rank)
  }

  /// Expressions that every layer is compared with.
  var expressionCount: Int {
    configurations.values.reduce(0) { $0 + $1.alphaPattern.expressionCount }
  }

  private func configuration(for name: PeelName) throws(PeelError) -> Configuration? {
    if let own = configurations[name.root] ?? configurations[""] { return own }
    guard let (first, other) = byNetwork[name.network] else { return nil }
    if let other { throw .ambiguousAlpha("\(first).lora_alpha", "\(other).lora_alpha") }
    return configurations[first]
  }

  private static func network(of root: String) -> PeelNetwork {
    guard root.hasPrefix("text_encoder") else { return .denoiser }
    return .textEncoder(root.last.flatMap { Int(String($0)) } ?? 1)
  }
}

// Reading.
extension PeelScales {
  private static let fieldNames: Set<String> = [
    "lora_alpha", "alpha_pattern", "use_rslora", "use_dora",
  ]

  /// Fields of PEFT's configuration that are keys of the metadata.
  private static func fields(of metadata: [String: String]) -> [(path: [String], text: String)] {
    metadata.sorted { $0.key < $1.key }.compactMap { key, text in
      let (root, field) = split(key)
      // Without a root, one alpha is that of the whole file.
      guard fieldNames.contains(field), !(root.isEmpty && field == "lora_alpha") else { return nil }
      // Python's words where it writes no JSON.
      let json = ["True": "true", "False": "false", "None": "null"][text] ?? text
      return (path: [key], text: json)
    }
  }

  private static func split(_ key: String) -> (root: String, field: String) {
    guard let dot = key.lastIndex(of: ".") else { return ("", key) }
    return (root(key[..<dot]), String(key[key.index(after: dot)...]))
  }

  private static func root(_ text: some StringProtocol) -> String {
    text.split(separator: ".").filter { $0 != "base_model" && $0 != "model" }
      .joined(separator: ".")
  }

  private mutating func readCommon(_ metadata: [String: String]) throws(PeelError) {
    for key in ["lora_alpha", "network_alpha", "ss_network_alpha", "alpha"] {
      guard let text = metadata[key] else { continue }
      // So sd-scripts say that alpha is the rank.
      if key != "lora_alpha", text == "None" || Float(text) == 0 { continue }
      guard let alpha = Float(text), alpha > 0, alpha.isFinite else {
        throw .invalidAlpha(where: key)
      }
      if let common, common.alpha != alpha { throw .ambiguousAlpha(common.key, key) }
      common = common ?? (alpha, key)
    }
  }

  /// Takes up one value of a configuration; its path is fields' names, which may have roots.
  private mutating func read(_ leaf: JSONLeaf, _ place: String) throws(PeelError) {
    var roots: [String] = []
    for (index, key) in leaf.path.enumerated() {
      let (root, field) = Self.split(key)
      if !root.isEmpty { roots.append(root) }
      let rest = leaf.path.dropFirst(index + 1)
      switch (field, leaf.value) {
      case ("lora_alpha", .number(let alpha)) where rest.isEmpty:
        let alpha = try Self.positive(alpha, "\(place): lora_alpha")
        return configure(roots) { $0.alpha = alpha }
      case ("alpha_pattern", .number(let alpha)) where rest.count == 1:
        let alpha = try Self.positive(alpha, "\(place): alpha_pattern")
        var isUnderstood = true
        configure(roots) { isUnderstood = $0.alphaPattern.append(rest.first!, alpha) }
        if !isUnderstood { throw .unsupportedPattern(rest.first!) }
        return
      case ("use_rslora", .boolean(let isStabilized)) where rest.isEmpty:
        return configure(roots) { $0.isRankStabilized = isStabilized }
      case ("use_dora", .boolean(true)): isDecomposed = true
      case ("init_lora_weights", .string(let name)): return try Self.checkStart(name)
      case ("peft_type", .string(let type)) where type != "LORA":
        throw .unsupportedForm(type.excerpt, tensor: nil)
      case ("r", .number) where rest.isEmpty: return configure(roots) { _ in }
      case ("lora_alpha", .null), ("alpha_pattern", .null), ("use_rslora", .null): return
      case ("lora_alpha", _), ("alpha_pattern", _), ("use_rslora", _):
        throw .invalidConfiguration(where: place)
      default: roots.append(Self.root(key))
      }
    }
  }

  private mutating func indexNetworks() {
    for (network, roots) in Dictionary(grouping: configurations.keys, by: Self.network) {
      guard let first = roots.min() else { continue }
      let other = roots.filter { configurations[$0] != configurations[first] }.min()
      byNetwork[network] = (first, other)
    }
  }

  private mutating func configure(_ roots: [String], _ change: (inout Configuration) -> Void) {
    change(&configurations[roots.joined(separator: "."), default: Configuration()])
  }

  private static func positive(_ value: Double, _ place: String) throws(PeelError) -> Float {
    let value = Float(value)
    guard value > 0, value.isFinite else { throw .invalidAlpha(where: place) }
    return value
  }

  /// Some ways to begin a training take the update's beginning out of the base: what was learned
  /// does not fit the base as it was.
  private static func checkStart(_ name: String) throws(PeelError) {
    for start in ["pissa", "olora", "corda", "loftq", "lora_ga"]
    where name.lowercased().hasPrefix(start) {
      throw .unsupportedForm("A LoRA that began with \(start)", tensor: nil)
    }
  }
}
