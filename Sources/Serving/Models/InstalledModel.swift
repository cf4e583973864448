import FoundationEssentials
package import Weights

/// A model package on the disk, as far as its `model.json` tells; nothing of it is mapped.
package struct InstalledModel: Sendable, Equatable {
  /// What requests call it; the folder's name where `model.json` cannot be used.
  package var name: String
  /// The folder.
  package var path: String
  package var family: String
  package var version: String
  package var description: String
  package var licenses: [ModelDescription.License]
  /// The sha256 of each file.
  package var files: [String: String]
  /// Bytes of all of them.
  package var weightBytes: Int
  /// When `model.json` was written, seconds since 1970.
  package var created: Int
  /// Why it cannot be used; nil for what can be.
  package var fault: ModelFault?

  package init(
    name: String, path: String = "", family: String = "", version: String = "",
    description: String = "", licenses: [ModelDescription.License] = [],
    files: [String: String] = [:], weightBytes: Int = 0, created: Int = 0, fault: ModelFault? = nil
  ) {
    self.name = name
    self.path = path
    self.family = family
    self.version = version
    self.description = description
    self.licenses = licenses
    self.files = files
    self.weightBytes = weightBytes
    self.created = created
    self.fault = fault
  }

  /// The package in `folder`.
  init(folder: String) {
    let path = folder + "/model.json"
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    let written = attributes?[.modificationDate] as? Date
    self.init(
      name: Self.name(ofFolder: folder), path: folder,
      created: Int(written?.timeIntervalSince1970 ?? 0))
    do throws(ModelPackageError) {
      let manifest = try ModelPackage.manifest(inFolder: folder)
      name = manifest.name
      family = manifest.family
      version = manifest.version
      description = manifest.description
      licenses = manifest.licenses.map {
        .init(what: $0.what, license: $0.license, source: $0.source)
      }
      files = manifest.files.mapValues(\.sha256)
      weightBytes = manifest.files.values.reduce(0) { $0 + $1.bytes }
    } catch { fault = .package(error) }
  }

  /// Bytes of its files that will be mapped; the others are read into memory.
  var mappedBytes: Int {
    files.keys.reduce(0) { $0 + (MappedFile.mappableBytes(of: "\(path)/\($1)") ?? 0) }
  }

  /// What a package is called whose `model.json` does not say it.
  static func name(ofFolder path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}

/// Why a package on the disk cannot be used.
package enum ModelFault: Error, Equatable {
  case package(ModelPackageError)
  case sameName(String, path: String, other: String)
}

extension ModelFault: CustomStringConvertible {
  package var description: String {
    switch self {
    case .package(let error): error.description
    case .sameName(let name, let path, let other):
      "\(path) and \(other) are both called \"\(name)\", and the latter is taken. Remove one of "
        + "them, or give one another name in its model.json."
    }
  }
}
