import FoundationEssentials
import Weights

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The folder of one owner's peels: `NAME.safetensors` and, beside each, `NAME.json`.
///
/// A peel is installed once its `.safetensors` is in place; the `.json` is written before. While a
/// peel is replaced, its `.json` describes both, and the content decides which of them is there. So
/// a crash at any moment leaves the old peel or the new one, whole.
struct PeelFolder: Sendable {
  /// What `NAME.json` holds.
  private struct Sidecar: Codable {
    var versions: [PeelRecord]
  }

  let path: String

  func peelPath(_ name: String) -> String { "\(path)/\(name).safetensors" }
  private func sidecarPath(_ name: String) -> String { "\(path)/\(name).json" }

  /// Makes the folder and those above it, for this user alone.
  func make() throws(PeelRegistryError) {
    var prefix = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      prefix += "/" + part
      if mkdir(prefix, 0o700) != 0, errno != EEXIST {
        throw .system(call: "mkdir", errno: errno, path: prefix)
      }
    }
  }

  /// Puts a file that is written and synced in the place of peel `name`.
  ///
  /// With the rename it is done: from there on nothing throws, and a sidecar that could not be
  /// tidied up, on a full disk for example, is left to `recover`.
  /// - Parameter old: The peel that is replaced.
  func install(
    _ part: PartFile, as name: String, _ record: PeelRecord, replacing old: PeelRecord?
  ) throws(PeelRegistryError) {
    try write(Sidecar(versions: [record] + (old.map { [$0] } ?? [])), of: name)
    try part.move(to: peelPath(name))
    try? sync()
    if old != nil { try? write(Sidecar(versions: [record]), of: name) }
  }

  /// Removes peel `name`, if somebody has not done so behind our back; whoever holds it open keeps
  /// it.
  func remove(_ name: String) throws(PeelRegistryError) {
    if unlink(peelPath(name)) != 0, errno != ENOENT {
      throw .system(call: "unlink", errno: errno, path: peelPath(name))
    }
    try? sync()
    unlink(sidecarPath(name))
  }

  /// The peels in the folder, after clearing away what a crash left.
  func recover() -> [String: PeelRecord] {
    let files = Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
    var records: [String: PeelRecord] = [:]
    for file in files {
      if file.hasSuffix(PartFile.suffix) {
        unlink("\(path)/\(file)")
      } else if file.hasSuffix(".json") {
        let name = String(file.dropLast(".json".count))
        if files.contains(name + ".safetensors") {
          records[name] = record(of: name)
        } else {
          unlink("\(path)/\(file)")
        }
      }
    }
    return records
  }

  private func record(of name: String) -> PeelRecord? {
    guard let json = FileManager.default.contents(atPath: sidecarPath(name)),
      let sidecar = try? JSONDecoder().decode(Sidecar.self, from: json)
    else { return nil }
    if sidecar.versions.count == 1 { return sidecar.versions[0] }
    guard let sha256 = (try? PeelFile(path: peelPath(name)))?.sha256,
      let present = sidecar.versions.first(where: { $0.sha256 == sha256 })
    else { return nil }
    try? write(Sidecar(versions: [present]), of: name)
    return present
  }

  private func write(_ sidecar: Sidecar, of name: String) throws(PeelRegistryError) {
    let json: Data
    do { json = try JSONEncoder().encode(sidecar) } catch {
      preconditionFailure("a peel's record cannot be written as JSON: \(error)")
    }
    let part = try PartFile(in: path)
    try part.append(Array(json))
    try part.sync()
    try part.move(to: sidecarPath(name))
    try sync()
  }

  /// Returns when the folder's names are on the disk.
  private func sync() throws(PeelRegistryError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(call: "open", errno: errno, path: path) }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 { throw .system(call: "fsync", errno: errno, path: path) }
  }
}
