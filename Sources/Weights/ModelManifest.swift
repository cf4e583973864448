/// What `model.json` says that holds for every family of models.
package struct ModelManifest: Decodable, Equatable, Sendable {
  package static let supportedVersion = 2

  /// A licence of something that went into the model.
  package struct License: Decodable, Equatable, Sendable {
    package let what: String
    package let license: String
    package let source: String
  }

  /// What a file must be.
  package struct FileRecord: Decodable, Equatable, Sendable {
    /// 64 hexadecimal digits in lower case.
    package let sha256: String
    package let bytes: Int
  }

  package let formatVersion: Int
  package let name: String
  package let family: String
  package let version: String
  package let description: String
  package let licenses: [License]
  package let files: [String: FileRecord]
  /// The .safetensors files that hold each set of weights, by the name that the family's networks
  /// have for it.
  package let weights: [String: [String]]

  /// Bytes of all files.
  package var byteCount: Int { files.values.reduce(0) { $0 + $1.bytes } }

  /// What is wrong with the values, nil if nothing is.
  var problem: String? {
    if name.isEmpty || family.isEmpty { return "\"name\" and \"family\" must not be empty" }
    var sum = 0
    for (name, file) in files.sorted(by: { $0.key < $1.key }) {
      let isHexadecimal = file.sha256.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x61...0x66 ~= $0
      }
      if file.sha256.utf8.count != 64 || !isHexadecimal {
        return "the sha256 of \"\(name)\" is not 64 hexadecimal digits in lower case"
      }
      let (total, isOverflown) = sum.addingReportingOverflow(file.bytes)
      if file.bytes < 0 || isOverflown { return "the size of \"\(name)\" is not possible" }
      sum = total
    }
    for (name, names) in weights.sorted(by: { $0.key < $1.key }) {
      if names.isEmpty { return "\"weights\" has no file for \"\(name)\"" }
      if let unlisted = names.first(where: { files[$0] == nil }) {
        return "\"\(unlisted)\", weights of \"\(name)\", is not among \"files\""
      }
    }
    return nil
  }
}
