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
  /// `fsync`: returns when the content of a descriptor is on the disk.
  var flush: @Sendable (Int32) -> Int32 = { fsync($0) }

  func peelPath(_ name: String) -> String { "\(path)/\(name).safetensors" }
  private func sidecarPath(_ name: String) -> String { "\(path)/\(name).json" }

  /// Makes the folder and those above it, for this user alone.
  private func make() throws(PeelRegistryError) {
    var prefix = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      prefix += "/" + part
      if mkdir(prefix, 0o700) != 0, errno != EEXIST {
        throw .system(call: "mkdir", errno: errno, path: prefix)
      }
    }
  }

  /// An empty file in the folder, which is made if need be.
  func makePart() throws(PeelRegistryError) -> PartFile {
    try make()
    return try PartFile(in: path, flush: flush)
  }

  /// Puts a file that is written and synced in the place of peel `name`.
  ///
  /// With the rename it is done: from there on nothing throws, and a sidecar that could not be
  /// tidied up, on a full disk for example, is left to `recover`.
  /// - Parameter old: The peel that is replaced.
  func install(
    _ part: PartFile, as name: String, _ record: PeelRecord, replacing old: PeelRecord?
  ) throws(PeelRegistryError) {
    let old = old.map { storedRecord(of: name, sha256: $0.sha256) ?? $0 }
    try write(Sidecar(versions: [record] + (old.map { [$0] } ?? [])), of: name)
    try part.move(to: peelPath(name))
    try? sync()
    if old != nil { try? write(Sidecar(versions: [record]), of: name) }
  }

  /// What the record of a peel takes on the disk.
  static func sidecarBytes(of record: PeelRecord) -> Int {
    (try? JSONEncoder().encode(Sidecar(versions: [record])).count) ?? 0
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

  /// What lies in a folder.
  struct Use {
    var peels = 0
    var bytes = 0
  }

  /// What the peels in the folder have on the disk, by the sizes of files.
  func measure() -> Use {
    var use = Use()
    let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    for file in files where file.hasSuffix(".safetensors") || file.hasSuffix(".json") {
      guard let facts = FileFacts(at: "\(path)/\(file)") else { continue }
      use.bytes += facts.byteCount
      if file.hasSuffix(".safetensors") { use.peels += 1 }
    }
    return use
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

  /// The record of a peel; one that is missing, or longer than any that is written, is made anew
  /// from the file.
  private func record(of name: String) -> PeelRecord? {
    let versions = sidecar(of: name)?.versions ?? []
    if versions.count == 1, versions[0].isBounded { return versions[0] }
    guard let file = try? PeelFile(path: peelPath(name)) else { return nil }
    let known = versions.first { $0.sha256 == file.sha256 && $0.isBounded }
    let present = known ?? PeelRecord(file, installedAt: UnixTime.now)
    try? write(Sidecar(versions: [present]), of: name)
    return present
  }

  /// The record as it was written; nil if it is not there.
  func storedRecord(of name: String, sha256: String) -> PeelRecord? {
    sidecar(of: name)?.versions.first { $0.sha256 == sha256 }
  }

  private func sidecar(of name: String) -> Sidecar? {
    guard let json = KernelFile.bytes(sidecarPath(name), upTo: PeelRecord.maximumBytes + 1),
      json.count <= PeelRecord.maximumBytes
    else { return nil }
    return try? JSONDecoder().decode(Sidecar.self, from: Data(json))
  }

  private func write(_ sidecar: Sidecar, of name: String) throws(PeelRegistryError) {
    let json: Data
    do { json = try JSONEncoder().encode(sidecar) } catch {
      preconditionFailure("a peel's record cannot be written as JSON: \(error)")
    }
    let part = try PartFile(in: path, flush: flush)
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
    if flush(descriptor) != 0 { throw .system(call: "fsync", errno: errno, path: path) }
  }
}
