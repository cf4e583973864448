import Glibc
import Weights

/// A folder for what is not a model yet, or no more: two levels down, where nobody looks for
/// models, and on the same disk. It goes with its owner, or with the next one after a crash.
final class HiddenFolder {
  private static let name = ".unfinished"

  let path: String
  private let root: String
  /// Of the folder itself, whose lock says that its owner lives.
  private let descriptor: Int32

  /// - Parameter folder: With the models; it is made if need be.
  /// - Throws: `ImportError.file`.
  init(in folder: String) throws(ImportError) {
    root = "\(folder)/\(Self.name)"
    try Self.make(root)
    Self.sweep(root)
    path = "\(root)/\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    guard mkdir(path, 0o755) == 0 else {
      throw .file(FileError(path: path, operation: "create", code: errno))
    }
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw .file(FileError(path: path, operation: "lock", code: errno))
    }
  }

  deinit {
    Self.delete(path)
    close(descriptor)
    // Others may work in it.
    rmdir(root)
  }

  /// Makes a folder and those above it.
  static func make(_ folder: String) throws(ImportError) {
    if FileFacts(folder).isFolder { return }
    if let slash = folder.lastIndex(of: "/"), slash != folder.startIndex {
      try make(String(folder[..<slash]))
    }
    guard mkdir(folder, 0o755) == 0 || errno == EEXIST else {
      throw .file(FileError(path: folder, operation: "create", code: errno))
    }
  }

  /// Deletes what nobody holds any more.
  private static func sweep(_ root: String) {
    for name in FileFacts.names(in: root) {
      let path = "\(root)/\(name)"
      let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { delete(path) }
      close(descriptor)
    }
  }

  /// Deletes a folder with the files and folders in it; links are not followed.
  private static func delete(_ folder: String) {
    for name in FileFacts.names(in: folder) {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR { delete(path) } else { unlink(path) }
    }
    rmdir(folder)
  }
}
