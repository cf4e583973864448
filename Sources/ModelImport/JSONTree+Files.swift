import FoundationEssentials
import Models
import Weights

extension JSONTree {
  private static let maximumBytes = 4 << 20
  private static let limits = JSONScanner.Limits(depth: 32, values: 1 << 18, numberBytes: 64)

  /// The object that a file of a checkpoint holds.
  init(contentsOf path: String) throws(ImportError) {
    let file: MappedFile
    do throws(FileError) {
      file = try MappedFile(path: path, maximumBytes: Self.maximumBytes, mapsAnyones: true)
    } catch { throw .file(error) }
    let bytes = withExtendedLifetime(file) { Array(file.bytes) }
    do throws(JSONError) {
      try JSONScanner.check(bytes, limits: Self.limits)
    } catch { throw .json(path: path, reason: "byte \(error.offset): \(error.reason)") }
    guard let tree = try? JSONDecoder().decode(JSONTree.self, from: Data(bytes)),
      case .object = tree
    else { throw .json(path: path, reason: "it is no object") }
    self = tree
  }

  /// The value as a file has it: sorted, and for people to read.
  var fileBytes: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("a number that is not finite in \(self)")
    }
    return Array(data) + [0x0A]
  }
}
