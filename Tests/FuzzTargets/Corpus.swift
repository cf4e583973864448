import FoundationEssentials
package import Weights

/// The inputs that are kept for a target, in one file: a tensor of bytes for each of them.
package struct Corpus: Sendable {
  package struct Input: Sendable {
    /// The beginning of its sha1, or after `keptPrefix` what it is.
    package let name: String
    package let bytes: [UInt8]

    package init(name: String, bytes: [UInt8]) {
      self.name = name
      self.bytes = bytes
    }
  }

  /// Where the files lie.
  package static let folder =
    #filePath.split(separator: "/").dropLast(2)
    .reduce("") { $0 + "/" + $1 } + "/Fixtures/fuzz"

  /// Begins the names of inputs that stay whatever else reaches the same code: defects that were,
  /// and kinds of files that only libpng tells apart.
  package static let keptPrefix = "kept-"

  package let inputs: [Input]

  /// Reads the corpus of `target`; there is none at first.
  package init(of target: FuzzTarget) throws(SafetensorsError) {
    let path = Self.path(of: target)
    guard FileManager.default.fileExists(atPath: path) else {
      inputs = []
      return
    }
    let file = try SafetensorsFile(path: path)
    inputs = file.names.map { Input(name: $0, bytes: Array(file.tensor(named: $0)!.bytes)) }
  }

  package init(_ inputs: [Input]) {
    self.inputs = inputs
  }

  /// Replaces the corpus of `target` by this one, small inputs first.
  package func write(for target: FuzzTarget) throws(FileError) {
    let sorted = inputs.sorted { ($0.bytes.count, $0.name) < ($1.bytes.count, $1.name) }
    try SafetensorsWriter.write(
      sorted.map { .init(name: $0.name, type: .uint8, shape: [$0.bytes.count], bytes: $0.bytes) },
      to: Self.path(of: target))
  }

  private static func path(of target: FuzzTarget) -> String {
    "\(folder)/\(target.rawValue).safetensors"
  }
}
