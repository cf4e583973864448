import FoundationEssentials
import TensorTypes

/// A LoRA in one .safetensors file, read whole and checked from end to end.
///
/// Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: a layer's
/// `W x` becomes `W x + alpha / rank * up (down x)`.
package struct PeelFile: Sendable {
  /// The change to one layer.
  package struct Update: Sendable, Equatable {
    /// The layer's name as the file gives it, without the network's root: `layers.0.qkv`, or in
    /// kohya's style `layers_0_qkv`.
    package let target: String
    package let rank: Int
    package let inWidth: Int
    package let outWidth: Int
    /// `[rank, in]`.
    package let down: [Float]
    /// `[out, rank]`, times `alpha / rank`.
    package let up: [Float]
  }

  package static let maximumBytes = 64 << 20
  package static let maximumRank = 128

  /// Sorted by target; never empty.
  package let updates: [Update]
  /// What the file says of itself.
  package let metadata: [String: String]
  package let byteCount: Int
  /// Of the whole file, in lower case.
  package let sha256: String

  /// Reads and checks the file at `path`.
  ///
  /// The file is copied into memory first, so that what was checked is what is used.
  /// - Throws: `PeelError`.
  package init(path: String) throws(PeelError) {
    let mapped: MappedFile
    do throws(FileError) { mapped = try MappedFile(path: path) } catch { throw .file(error) }
    guard mapped.bytes.count <= Self.maximumBytes else {
      throw .tooLarge(bytes: mapped.bytes.count, maximumBytes: Self.maximumBytes)
    }
    try self.init(contents: Array(mapped.bytes), path: path)
  }

  /// Checks the contents of a file that is, or is to be, called `path`.
  /// - Throws: `PeelError`.
  package init(contents: [UInt8], path: String) throws(PeelError) {
    guard contents.count <= Self.maximumBytes else {
      throw .tooLarge(bytes: contents.count, maximumBytes: Self.maximumBytes)
    }
    let file: SafetensorsFile
    do throws(SafetensorsError) {
      file = try SafetensorsFile(file: MappedFile(contents: contents, path: path))
    } catch { throw .safetensors(error) }
    metadata = file.metadata
    byteCount = contents.count
    sha256 = ModelPackage.checksum(of: file.file.bytes)
    updates = try Self.updates(in: file)
  }

  /// The largest rank of an update.
  package var rank: Int { updates.reduce(0) { max($0, $1.rank) } }

  private static func updates(in file: SafetensorsFile) throws(PeelError) -> [Update] {
    var parts: [String: [PeelKey.Part: String]] = [:]
    for name in file.names {
      guard let key = PeelKey(name) else { throw .unknownTensor(name: name) }
      if parts[key.target, default: [:]].updateValue(name, forKey: key.part) != nil {
        throw .duplicate(target: key.target, part: key.part.rawValue)
      }
    }
    let sharedAlpha = try PeelMetadata(file.metadata).alpha
    var updates: [Update] = []
    for (target, names) in parts.sorted(by: { $0.key < $1.key }) {
      updates.append(try update(of: target, names, in: file, sharedAlpha: sharedAlpha))
    }
    if updates.isEmpty { throw .empty }
    return updates
  }

  private static func update(
    of target: String, _ names: [PeelKey.Part: String], in file: SafetensorsFile,
    sharedAlpha: Float?
  ) throws(PeelError) -> Update {
    func matrix(_ part: PeelKey.Part) throws(PeelError) -> (shape: Shape, numbers: [Float]) {
      guard let name = names[part] else {
        throw .missingPart(target: target, part: part.rawValue)
      }
      let tensor = file.tensor(named: name)!
      guard tensor.shape.rank == 2, tensor.shape.count > 0 else {
        throw .wrongShape(tensor: name, shape: tensor.shape)
      }
      return (tensor.shape, try numbers(of: tensor, name: name))
    }
    let (down, up) = (try matrix(.down), try matrix(.up))
    let rank = down.shape[0]
    guard up.shape[1] == rank else {
      throw .unequalRanks(target: target, down: rank, up: up.shape[1])
    }
    guard rank <= maximumRank else {
      throw .wrongRank(target: target, rank: rank, maximum: maximumRank)
    }
    var alpha = sharedAlpha ?? Float(rank)
    if let name = names[.alpha] {
      let tensor = file.tensor(named: name)!
      guard tensor.shape.count == 1 else { throw .wrongShape(tensor: name, shape: tensor.shape) }
      alpha = try numbers(of: tensor, name: name)[0]
      guard alpha > 0 else { throw .invalidAlpha(where: "\"\(name)\"") }
    }
    let scale = alpha / Float(rank)
    let scaled = up.numbers.map { $0 * scale }
    guard scaled.allSatisfy(\.isFinite) else { throw .notFinite(tensor: names[.up]!) }
    return Update(
      target: target, rank: rank, inWidth: down.shape[1], outWidth: up.shape[0],
      down: down.numbers, up: scaled)
  }

  private static func numbers(
    of tensor: SafetensorsFile.Tensor, name: String
  ) throws(PeelError) -> [Float] {
    let format: StorageFormat
    switch tensor.type {
    case .float32: format = .float32
    case .float16: format = .float16
    case .bfloat16: format = .bfloat16
    default: throw .wrongType(tensor: name, type: tensor.type)
    }
    guard Finiteness.holds(tensor.bytes, format: format) else { throw .notFinite(tensor: name) }
    // Tensors of a foreign file may begin anywhere; the copy is aligned.
    let copy = HostBuffer(byteCount: tensor.bytes.count)
    copy.bytes.copyMemory(from: tensor.bytes)
    return StoredWeight(
      format: format, logicalShape: tensor.shape,
      data: UnsafeRawBufferPointer(rebasing: copy.bytes[..<tensor.bytes.count]), scales: nil,
      owners: [copy]
    ).dequantized()
  }
}

/// What a peel says of itself, in the terms of ModelSpec
/// (https://github.com/Stability-AI/ModelSpec).
extension PeelFile {
  package var title: String? { text("modelspec.title") }

  /// Words that a prompt should have for the peel to show.
  package var triggerWords: [String] {
    (text("modelspec.trigger_phrase") ?? "").split(separator: ",").map(Self.trimmed)
      .filter { !$0.isEmpty }
  }

  package var license: String? { text("modelspec.license") }

  /// The model that the peel changes: `modelspec.architecture` without "/lora".
  package var baseModel: String? {
    text("modelspec.architecture").map { $0.hasSuffix("/lora") ? String($0.dropLast(5)) : $0 }
  }

  /// sha256 of the base's `denoiser.safetensors`, in lower case.
  package var baseModelHash: String? { text("banana.base_sha256")?.lowercased() }

  private func text(_ key: String) -> String? {
    let text = metadata[key].map { Self.trimmed($0[...]) }
    return text?.isEmpty == false ? text : nil
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text.drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}

/// How a file's metadata says that updates are scaled.
///
/// `lora_alpha` holds for all layers; diffusers puts PEFT's whole configuration as JSON under
/// `lora_adapter_metadata`, its keys after the network's root.
private struct PeelMetadata {
  /// For updates without an alpha of their own.
  private(set) var alpha: Float?

  init(_ metadata: [String: String]) throws(PeelError) {
    if let text = metadata["lora_alpha"] {
      alpha = try Self.positive(Float(text), "lora_alpha")
    }
    guard let text = metadata["lora_adapter_metadata"] else { return }
    let configuration: Configuration
    do { configuration = try JSONDecoder().decode(Configuration.self, from: Data(text.utf8)) } catch
    { throw .invalidAlpha(where: "lora_adapter_metadata") }
    if let form = configuration.unsupportedForm { throw .unsupportedForm(form) }
    if let found = configuration.alpha {
      alpha = try Self.positive(Float(found), "lora_adapter_metadata")
    }
  }

  private static func positive(_ value: Float?, _ place: String) throws(PeelError) -> Float {
    guard let value, value.isFinite, value > 0 else { throw .invalidAlpha(where: place) }
    return value
  }

  /// The parts of PEFT's `LoraConfig` that change how updates are applied.
  private struct Configuration: Decodable {
    private(set) var alpha: Double?
    private(set) var unsupportedForm: String?

    struct Key: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init?(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Key.self)
      for key in values.allKeys {
        let field = key.stringValue.split(separator: ".").last.map(String.init) ?? ""
        switch field {
        case "lora_alpha": alpha = try values.decode(Double.self, forKey: key)
        case "use_rslora", "use_dora":
          if try values.decode(Bool?.self, forKey: key) == true { unsupportedForm = field }
        case "alpha_pattern":
          let pattern = try values.decode([String: Double]?.self, forKey: key) ?? [:]
          if !pattern.isEmpty { unsupportedForm = field }
        default: break
        }
      }
    }
  }
}
