import Glibc
import Weights

/// A model package in a folder, as far as its manifest tells.
package struct StoredModel: Sendable {
  package let name: String
  package let path: String
  /// Why it cannot be used; nil if it can be read.
  package let problem: String?
  let manifest: ModelManifest?

  package var family: String { manifest?.family ?? "" }
  package var version: String { manifest?.version ?? "" }
  package var summary: String { manifest?.description ?? "" }
  /// A line each.
  package var licenses: [String] {
    (manifest?.licenses ?? []).map { "\($0.what): licence \($0.license), from \($0.source)" }
  }
  /// By name.
  package var files: [(name: String, bytes: Int)] {
    (manifest?.files ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value.bytes) }
  }

  /// The package in a folder.
  package init(_ path: String) {
    self.path = path
    do throws(ModelPackageError) {
      let manifest = try ModelPackage.manifest(inFolder: path)
      (self.manifest, problem, name) = (manifest, nil, manifest.name)
    } catch {
      (manifest, problem, name) = (nil, "\(error)", FileFacts.name(of: path))
    }
  }

  /// Bytes of its files, with what else is in its folder.
  package var byteCount: Int {
    FileFacts.names(in: path).reduce(0) { sum, name in
      var status = stat()
      return stat("\(path)/\(name)", &status) == 0 ? sum + Int(status.st_size) : sum
    }
  }

  /// Removes it, so that nobody ever sees half of it; who draws with it is not disturbed.
  /// - Throws: `ImportError.file`.
  package func remove() throws(ImportError) {
    var parts = path.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast()
    let hidden = try HiddenFolder(in: parts.joined(separator: "/"))
    let target = hidden.path + "/removed"
    if rename(path, target) != 0 {
      throw .file(FileError(path: path, operation: "remove", code: errno))
    }
  }
}
