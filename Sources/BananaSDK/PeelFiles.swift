import BananaAPI
import FoundationEssentials

/// A LoRA as people have it on the disk: a `.safetensors` file, or the folder that PEFT writes,
/// with `adapter_model.safetensors` and, in `adapter_config.json`, how its updates are scaled.
enum PeelFiles {
  /// The bytes of one `.safetensors` file that says everything.
  static func contents(of path: String) throws(BananaError) -> Data {
    var isFolder = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    guard exists, isFolder else {
      return try merged(try read(path), with: configurationPath(beside: path))
    }
    let name = try model(in: path)
    return try merged(
      try read("\(path)/\(name)"), with: configurationPath(beside: "\(path)/\(name)"))
  }

  /// PEFT's own name, or that of the only such file.
  private static func model(in folder: String) throws(BananaError) -> String {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    if names.contains(modelName) { return modelName }
    let files = names.filter { $0.hasSuffix(".safetensors") }
    if files.count == 1 { return files[0] }
    let reason =
      if !files.isEmpty {
        "it has several .safetensors files; name one of them"
      } else if names.contains("adapter_model.bin") {
        "it has only adapter_model.bin; save it as .safetensors (safe_serialization=True)"
      } else {
        "it has no \(modelName)"
      }
    throw .unreadableFile(path: folder, reason: reason)
  }

  private static let modelName = "adapter_model.safetensors"

  private static func configurationPath(beside path: String) -> String? {
    guard path.split(separator: "/").last.map(String.init) == modelName else { return nil }
    let configuration = path.dropLast(modelName.count) + "adapter_config.json"
    return FileManager.default.fileExists(atPath: String(configuration))
      ? String(configuration) : nil
  }

  private static func read(_ path: String) throws(BananaError) -> Data {
    let bytes = (try? FileManager.default.attributesOfItem(atPath: path)[.size]) as? Int
    if let bytes, bytes > PeelLimits.fileBytes {
      throw .unreadableFile(
        path: path,
        reason: "it has \(bytes >> 20) MiB and a peel may have \(PeelLimits.fileBytes >> 20); "
          + "export it with a smaller rank or in F16")
    }
    do { return try Data(contentsOf: URL(filePath: path)) } catch {
      throw .unreadableFile(path: path, reason: BananaClient.reason(error))
    }
  }

  /// The file with PEFT's configuration in its metadata, where diffusers writes it.
  private static func merged(_ file: Data, with path: String?) throws(BananaError) -> Data {
    guard let path else { return file }
    let configuration = String(decoding: try read(path), as: UTF8.self)
    // What is no safetensors file is for the daemon to say.
    guard let length = headerLength(file),
      var header = try? JSONDecoder().decode(
        [String: HeaderMember].self, from: file.dropFirst(8).prefix(length))
    else { return file }
    var metadata: [String: String] = [:]
    if case .metadata(let own) = header["__metadata__"] { metadata = own }
    metadata["lora_adapter_metadata"] = configuration
    header["__metadata__"] = .metadata(metadata)
    guard var json = try? JSONEncoder().encode(header) else { return file }
    while (json.count + 8) % 64 != 0 { json.append(UInt8(ascii: " ")) }
    var merged = Data()
    merged.reserveCapacity(8 + json.count + file.count - 8 - length)
    withUnsafeBytes(of: UInt64(json.count).littleEndian) { merged.append(contentsOf: $0) }
    merged.append(json)
    merged.append(file.dropFirst(8 + length))
    return merged
  }

  private static func headerLength(_ file: Data) -> Int? {
    guard file.count >= 8 else { return nil }
    let length = file.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return length <= UInt64(file.count - 8) ? Int(length) : nil
  }

  /// A value of a header: metadata, or where a tensor lies.
  private enum HeaderMember: Codable {
    case metadata([String: String])
    case tensor(Tensor)

    struct Tensor: Codable {
      var dtype: String
      var shape: [Int]
      var dataOffsets: [Int]

      private enum CodingKeys: String, CodingKey {
        case dtype, shape
        case dataOffsets = "data_offsets"
      }
    }

    init(from decoder: any Decoder) throws {
      if let tensor = try? Tensor(from: decoder) {
        self = .tensor(tensor)
      } else {
        self = .metadata(try [String: String](from: decoder))
      }
    }

    func encode(to encoder: any Encoder) throws {
      switch self {
      case .metadata(let metadata): try metadata.encode(to: encoder)
      case .tensor(let tensor): try tensor.encode(to: encoder)
      }
    }
  }
}
