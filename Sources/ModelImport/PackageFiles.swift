import Models
import Weights

/// The files of a package that is being made, and its manifest.
struct PackageFiles {
  let folder: String
  private var records: [String: JSONTree] = [:]
  private(set) var byteCount = 0

  init(folder: String) { self.folder = folder }

  /// Takes up a file that lies in the folder already.
  mutating func note(_ name: String) throws(ImportError) {
    do throws(FileError) {
      let file = try MappedFile(path: "\(folder)/\(name)", mapsAnyones: true)
      var released = 0
      let sha256 = ModelPackage.checksum(of: file.bytes) { end in
        file.release(UnsafeRawBufferPointer(rebasing: file.bytes[released..<end]))
        released = end
      }
      records[name] = [
        "sha256": .text(sha256), "bytes": .number(Double(file.bytes.count)),
      ]
      byteCount += file.bytes.count
    } catch { throw .file(error) }
  }

  mutating func add(_ vocabulary: CheckpointVocabulary) throws(ImportError) {
    try write("merges.txt", vocabulary.merges)
    try note("merges.txt")
  }

  mutating func add(_ name: String, _ tree: JSONTree) throws(ImportError) {
    try write(name, tree.fileBytes)
    try note(name)
  }

  /// Writes `model.json`, last of all.
  func writeManifest(
    name: String, family: String, configuration: JSONTree, checkpoint: Checkpoint
  ) throws(ImportError) {
    let source = FileFacts.name(of: checkpoint.path)
    let weights = Dictionary(
      uniqueKeysWithValues: Component.Kind.allCases.map {
        ($0.rawValue, JSONTree([$0.fileName]))
      })
    let manifest: JSONTree = [
      "formatVersion": .number(Double(ModelManifest.supportedVersion)), "name": .text(name),
      "family": .text(family), "version": "1", "description": .text("Imported from \(source)."),
      "licenses": [
        [
          "what": "weights", "license": .text(checkpoint.license ?? "unknown"),
          "source": .text(source),
        ]
      ],
      "files": .object(records), "weights": .object(weights), "configuration": configuration,
    ]
    try write("model.json", manifest.fileBytes)
  }

  private func write(_ name: String, _ bytes: [UInt8]) throws(ImportError) {
    try UnfinishedFile.replace(
      "\(folder)/\(name)", failing: { ImportError.file($0) },
      content: { (file) throws(ImportError) in
        do throws(FileError) { try file.append(bytes) } catch { throw .file(error) }
      })
  }
}
