import FoundationEssentials
import Glibc
import Synchronization

/// Remembers which files of models were checked whole, so that opening one again is mapping it.
///
/// Only what nobody but root and this process' user can change is remembered, and only while its
/// stamp is the same; the memory is a file of which the same holds.
package final class FileChecks: Sendable {
  /// What is checked; a version that checks more has another number.
  private static let rules = 1
  private static let maximumBytes = 4 << 20
  private static let maximumFiles = 1000

  private struct Record: Codable, Equatable {
    var stamp: FileStamp
    var sha256: String
  }

  private struct Memory: Codable {
    var rules = FileChecks.rules
    /// By path.
    var files: [String: Record] = [:]
  }

  private let path: String?
  private let memory: Mutex<Memory>

  /// - Parameter path: The file that outlives the process, in a folder of this user's; nil forgets.
  package init(path: String?) {
    self.path = path
    memory = Mutex(path.flatMap(Self.read) ?? Memory())
  }

  /// Whether this very content was checked, and had this sha256.
  package func vouches(for file: MappedFile, sha256: String) -> Bool {
    guard let stamp = file.stamp else { return false }
    return memory.withLock { $0.files[file.path] } == Record(stamp: stamp, sha256: sha256)
  }

  /// Remembers files that were checked just now; what cannot be written is checked again next time.
  package func note(_ files: [(file: MappedFile, sha256: String)]) {
    let changed: Memory? = memory.withLock { memory in
      let before = memory.files
      for (file, sha256) in files {
        memory.files[file.path] = file.stamp.map { Record(stamp: $0, sha256: sha256) }
      }
      if memory.files == before { return nil }
      memory.files = memory.files.filter { access($0.key, F_OK) == 0 }
      if memory.files.count > Self.maximumFiles { memory.files.removeAll() }
      return memory
    }
    if let changed, let path { Self.write(changed, to: path) }
  }

  private static func read(_ path: String) -> Memory? {
    guard let file = try? MappedFile(path: path), file.stamp != nil,
      file.bytes.count <= maximumBytes
    else { return nil }
    let bytes = withExtendedLifetime(file) { Data(file.bytes) }
    guard let memory = try? JSONDecoder().decode(Memory.self, from: bytes), memory.rules == rules
    else { return nil }
    return memory
  }

  /// Writes beside and renames, so that there is always a whole file.
  private static func write(_ memory: Memory, to path: String) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    guard let json = try? encoder.encode(memory) else { return }
    if let slash = path.lastIndex(of: "/") { mkdir(String(path[..<slash]), 0o700) }
    let part = "\(path).\(getpid()).part"
    let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    let isWritten = json.withUnsafeBytes { bytes in
      var count = 0
      while count < bytes.count {
        let written = Glibc.write(descriptor, bytes.baseAddress! + count, bytes.count - count)
        if written > 0 { count += written } else if errno != EINTR { return false }
      }
      return fsync(descriptor) == 0
    }
    close(descriptor)
    if !isWritten || rename(part, path) != 0 { unlink(part) }
  }
}
