/// Why a model package cannot be used.
package enum ModelPackageError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case manifestTooLong(path: String, bytes: Int, maximumBytes: Int)
  case invalidManifest(path: String, reason: String)
  case unsupportedVersion(path: String, found: String, supported: Int)
  /// A name that could lead out of the folder.
  case unsafeFileName(path: String, name: String)
  case missingFile(path: String)
  case wrongLength(path: String, expectedBytes: Int, actualBytes: Int)
  case wrongChecksum(path: String, expected: String, actual: String)
  /// A file was asked for that model.json does not list.
  case unlistedFile(path: String, name: String)
  /// No files for weights that the model's family needs.
  case noWeights(path: String, name: String)
  case safetensors(SafetensorsError)
  case weight(WeightError)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .manifestTooLong(let path, let bytes, let maximum):
      "\(path) has \(bytes) bytes; at most \(maximum) are read. This is not a model package: "
        + "give the folder of one."
    case .invalidManifest(let path, let reason):
      "\(path) is not valid: \(reason). Install the model package again or mend the file."
    case .unsupportedVersion(let path, let found, let supported):
      "\(path) has format version \(found) and this program reads version \(supported). "
        + (Int(found).map { $0 < supported } ?? false
          ? "It was made for an older Banana: install this version's package of the model (as "
            + "root, apt-get install --reinstall banana, for the one that ships)."
          : "Install a newer Banana or an older model package.")
    case .unsafeFileName(let path, let name):
      "\(path) lists the file \"\(name)\", which is not a plain name inside its folder. "
        + "Do not use this model package unless you trust where it is from."
    case .missingFile(let path):
      "\(path) is missing. Install the model package again."
    case .wrongLength(let path, let expected, let actual):
      "\(path) has \(actual) bytes and should have \(expected). "
        + "Install the model package again."
    case .wrongChecksum(let path, let expected, let actual):
      "\(path) is damaged: its sha256 is \(actual) and should be \(expected). "
        + "Install the model package again."
    case .unlistedFile(let path, let name):
      "\(path) does not list the file \"\(name)\", which this model needs. "
        + "Install the model package again."
    case .noWeights(let path, let name):
      "\(path) names no files for the weights \"\(name)\", which this model needs. "
        + "Install the model package again."
    case .safetensors(let error): error.description
    case .weight(let error): error.description
    }
  }
}
