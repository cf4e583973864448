private import CCrypto
package import FoundationEssentials

/// A model's folder: `model.json` and the files that it lists, mapped and checked.
///
/// The files stay mapped as they were checked, whatever happens to their names later.
package struct ModelPackage: Sendable {
  /// How far files are compared with what `model.json` says of them.
  package enum Verification: Sendable {
    /// Name, length and sha256.
    case checksums
    /// Name and length only.
    case lengths
    /// Nothing: no file but `model.json` is opened, and none can be asked for.
    case manifest
  }

  package static let maximumManifestBytes = 4 << 20

  /// The folder.
  package let path: String
  package let manifest: ModelManifest
  /// The value of `configuration`, which the model's family understands.
  package let configurationJSON: Data
  private let files: [String: MappedFile]

  /// Opens the package in the folder `path`.
  /// - Parameters:
  ///   - checks: What need not be checked again; nil checks all.
  ///   - progress: Takes the share of the bytes that is checked, 0...1.
  /// - Throws: `ModelPackageError`.
  package init(
    path: String, verification: Verification = .checksums, checks: FileChecks? = nil,
    progress: (Double) -> Void = { _ in }
  ) throws(ModelPackageError) {
    let manifestPath = path + "/model.json"
    let (manifest, configuration) = try Self.manifest(in: Self.map(manifestPath))
    var files: [String: MappedFile] = [:]
    let allBytes = manifest.files.values.reduce(1.0) { $0 + Double($1.bytes) }
    var doneBytes = 0.0
    for (name, record) in manifest.files.sorted(by: { $0.key < $1.key })
    where verification != .manifest {
      if !Self.isPlainName(name) { throw .unsafeFileName(path: manifestPath, name: name) }
      let file = try Self.map(path + "/" + name)
      guard file.bytes.count == record.bytes else {
        throw .wrongLength(
          path: file.path, expectedBytes: record.bytes, actualBytes: file.bytes.count)
      }
      if checks?.vouches(for: file, sha256: record.sha256) == true {
        file.noteChecked()
      } else if verification == .checksums {
        let actual = Self.checksum(of: file.bytes) { progress((doneBytes + Double($0)) / allBytes) }
        guard actual == record.sha256 else {
          throw .wrongChecksum(path: file.path, expected: record.sha256, actual: actual)
        }
      }
      files[name] = file
      doneBytes += Double(record.bytes)
      progress(doneBytes / allBytes)
    }
    self.path = path
    self.manifest = manifest
    self.files = files
    configurationJSON = configuration
  }

  /// The configuration as the type that the model's family has for it.
  /// - Throws: `ModelPackageError.invalidManifest`.
  package func configuration<Configuration: Decodable>(
    as type: Configuration.Type
  ) throws(ModelPackageError) -> Configuration {
    do {
      return try JSONDecoder().decode(type, from: configurationJSON)
    } catch {
      throw .invalidManifest(
        path: path + "/model.json", reason: "\"configuration\": \(Self.reason(for: error))")
    }
  }

  /// Takes note that all files, and every number in them, were checked.
  package func noteChecked(in checks: FileChecks?) {
    for file in files.values { file.noteChecked() }
    checks?.note(files.map { ($1, manifest.files[$0]!.sha256) })
  }

  /// A file that `model.json` lists.
  package func file(named name: String) throws(ModelPackageError) -> MappedFile {
    guard let file = files[name] else {
      throw .unlistedFile(path: path + "/model.json", name: name)
    }
    return file
  }

  /// The weights of that name: a map of files that stays as it is.
  package func weights(named name: String) throws(ModelPackageError) -> WeightStore {
    guard let names = manifest.weights[name] else {
      throw .noWeights(path: path + "/model.json", name: name)
    }
    return try weights(in: names)
  }

  /// The weights in one or several of the package's .safetensors files.
  func weights(in names: [String]) throws(ModelPackageError) -> WeightStore {
    var opened: [SafetensorsFile] = []
    for name in names {
      let file = try self.file(named: name)
      do throws(SafetensorsError) {
        opened.append(try SafetensorsFile(file: file))
      } catch {
        throw .safetensors(error)
      }
    }
    do throws(WeightError) { return try WeightStore(files: opened) } catch { throw .weight(error) }
  }

  private static func map(_ path: String) throws(ModelPackageError) -> MappedFile {
    do throws(FileError) {
      return try MappedFile(path: path)
    } catch {
      throw error.isMissing ? .missingFile(path: path) : .file(error)
    }
  }

  /// What the `model.json` of the package in `path` says; nothing else of it is looked at.
  package static func manifest(inFolder path: String) throws(ModelPackageError) -> ModelManifest {
    try manifest(in: map(path + "/model.json")).0
  }

  /// Reads and checks a `model.json`; the configuration is JSON.
  package static func manifest(
    in file: MappedFile
  ) throws(ModelPackageError) -> (ModelManifest, configuration: Data) {
    let bytes = file.bytes
    guard bytes.count <= maximumManifestBytes else {
      throw .manifestTooLong(
        path: file.path, bytes: bytes.count, maximumBytes: maximumManifestBytes)
    }
    var members: [String: Range<Int>] = [:]
    do throws(JSONError) {
      var scanner = JSONScanner(bytes)
      try scanner.object { (scanner, key) throws(JSONError) in members[key] = try scanner.value() }
      try scanner.expectEnd()
    } catch {
      throw .invalidManifest(path: file.path, reason: "byte \(error.offset): \(error.reason)")
    }
    // The version first: another one may have other members.
    guard let version = members["formatVersion"] else {
      throw .invalidManifest(path: file.path, reason: "\"formatVersion\" is missing")
    }
    let found = String(decoding: bytes[version], as: UTF8.self)
    guard found == String(ModelManifest.supportedVersion) else {
      throw .unsupportedVersion(
        path: file.path, found: String(found.prefix(40)), supported: ModelManifest.supportedVersion)
    }
    guard let configuration = members["configuration"] else {
      throw .invalidManifest(path: file.path, reason: "\"configuration\" is missing")
    }
    let manifest: ModelManifest
    do {
      manifest = try JSONDecoder().decode(ModelManifest.self, from: Data(bytes))
    } catch {
      throw .invalidManifest(path: file.path, reason: reason(for: error))
    }
    if let problem = manifest.problem { throw .invalidManifest(path: file.path, reason: problem) }
    return (manifest, Data(bytes[configuration]))
  }

  private static func isPlainName(_ name: String) -> Bool {
    let isPlain = name.utf8.allSatisfy { byte in
      0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
        || byte == 0x2D || byte == 0x2E || byte == 0x5F
    }
    return isPlain && 1...255 ~= name.utf8.count && name.utf8.first != 0x2E
  }

  /// sha256 of a file's bytes, 64 hexadecimal digits in lower case.
  /// - Parameter progress: Takes the bytes that are done, now and then.
  package static func checksum(
    of bytes: UnsafeRawBufferPointer, progress: (Int) -> Void = { _ in }
  ) -> String {
    var hash = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    EVP_DigestInit_ex(context, EVP_sha256(), nil)
    let step = 8 << 20
    for start in stride(from: 0, to: bytes.count, by: step) {
      let end = min(start + step, bytes.count)
      EVP_DigestUpdate(context, bytes.baseAddress! + start, end - start)
      progress(end)
    }
    EVP_DigestFinal_ex(context, &hash, nil)
    return hash.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  private static func reason(for error: any Error) -> String {
    func place(_ path: [any CodingKey]) -> String {
      path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
    }
    switch error as? DecodingError {
    case .keyNotFound(let key, let context):
      return "\"\(place(context.codingPath + [key]))\" is missing"
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      return "\"\(place(context.codingPath))\" is not of type \(type)"
    case .dataCorrupted(let context):
      return "\"\(place(context.codingPath))\": \(context.debugDescription)"
    default: return "\(error)"
    }
  }
}
