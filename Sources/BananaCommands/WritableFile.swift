import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Files that can be written, and how: what is there keeps its mode, its owner and its links.
enum WritableFile {
  private static let maximumLinks = 40

  /// Where the file of a path is, or will be.
  /// - Throws: `Failure` when it could not be written there.
  static func place(of path: String) throws -> PictureOutput.Place {
    var facts = stat()
    if stat(path, &facts) == 0 {
      guard FileKind(facts) == .file else { throw isFolder(path) }
      // Where nobody may write, the administrator does not either.
      guard facts.st_mode & 0o222 != 0, faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 else {
        throw readOnly(path)
      }
      guard let target = realPath(path), isSame(target, facts) else {
        // An open file without a name, by its descriptor.
        return .stream(path: path)
      }
      try checkRoom(in: folder(of: target), for: path)
      return .file(path: target)
    }
    let error = errno
    guard error == ENOENT else { throw failure(path, error) }
    let target = try linkTarget(of: path)
    try checkFolder(folder(of: target), for: path)
    return .file(path: target)
  }

  static func checkStream(_ path: String, _ kind: FileKind) throws {
    if kind == .socket {
      throw Failure(
        code: .usage, message: "\(path) is a socket. Choose a file with -o.")
    }
    guard faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 else { throw failure(path, errno) }
  }

  /// Writes beside the file and renames, so that nobody ever sees half a picture; into it where
  /// that would change whose it is or which other names it has.
  static func write(_ data: Data, to path: String, named name: String) throws {
    var facts = stat()
    let isThere = stat(path, &facts) == 0
    let isElsewhere = isThere && facts.st_nlink > 1
    if isThere, isElsewhere || access(folder(of: path), W_OK | X_OK) != 0 {
      return try writeInto(path, data, named: name)
    }
    let beside = "\(folder(of: path))/.banana-\(UInt64.random(in: 0...UInt64.max))"
    let descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(name, errno) }
    var isRenamed = false
    defer {
      close(descriptor)
      if !isRenamed { unlink(beside) }
    }
    if isThere {
      if facts.st_uid != geteuid() || facts.st_gid != getegid(),
        fchown(descriptor, facts.st_uid, facts.st_gid) != 0
      {
        return try writeInto(path, data, named: name)
      }
      guard fchmod(descriptor, facts.st_mode & 0o7777) == 0 else { throw failure(name, errno) }
    }
    guard writeAll(data, to: descriptor), fsync(descriptor) == 0 || errno == EINVAL,
      rename(beside, path) == 0
    else { throw failure(name, errno) }
    isRenamed = true
  }

  private static func writeInto(_ path: String, _ data: Data, named name: String) throws {
    let descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(name, errno) }
    defer { close(descriptor) }
    guard writeAll(data, to: descriptor) else { throw failure(name, errno) }
  }

  private static func writeAll(_ data: Data, to descriptor: Int32) -> Bool {
    var rest = Array(data)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { systemWrite(descriptor, $0) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// The folder that a file is in.
  static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.utf8.startIndex ? "/" : String(path.utf8[..<slash]) ?? "."
  }

  /// Where the links lead that begin at `path`, whose last target is not there.
  private static func linkTarget(of path: String) throws -> String {
    var path = path
    for _ in 0..<maximumLinks {
      var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
      let count = bytes.withUnsafeMutableBytes {
        readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
      }
      guard count > 0 else { return path }
      let target = String(decoding: bytes[..<count], as: UTF8.self)
      path = target.hasPrefix("/") ? target : "\(folder(of: path))/\(target)"
    }
    throw failure(path, ELOOP)
  }

  private static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func isSame(_ path: String, _ facts: stat) -> Bool {
    var others = stat()
    return stat(path, &others) == 0 && others.st_dev == facts.st_dev
      && others.st_ino == facts.st_ino
  }

  private static func checkFolder(_ folder: String, for path: String) throws {
    switch FileKind(at: folder) {
    case .folder: break
    case nil where errno == ENOENT:
      throw Failure(
        code: .other,
        message: "\(path) cannot be written: there is no folder \(folder). Make it with "
          + "mkdir -p \(folder), or choose another file with -o.")
    case nil: throw failure(path, errno)
    default: throw failure(path, ENOTDIR)
    }
    guard faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0 else {
      throw failure(path, errno)
    }
    try checkRoom(in: folder, for: path)
  }

  /// A disk that is full to the last block has room for no picture.
  private static func checkRoom(in folder: String, for path: String) throws {
    var disk = statvfs()
    // Some file systems do not count.
    guard statvfs(folder, &disk) == 0, disk.f_blocks > 0 else { return }
    let free = geteuid() == 0 ? disk.f_bfree : disk.f_bavail
    if free == 0 || disk.f_files > 0 && disk.f_ffree == 0 { throw failure(path, ENOSPC) }
  }

  static func isFolder(_ path: String) -> Failure {
    let folder = path.hasSuffix("/") ? path : path + "/"
    return Failure(
      code: .usage, message: "\(path) is a folder. Name a file in it: -o \(folder)out.png")
  }

  private static func readOnly(_ path: String) -> Failure {
    Failure(
      code: .other,
      message: "\(path) is read-only for you. Let it be written with chmod u+w \(path), or choose "
        + "another file with -o.")
  }

  static func failure(_ path: String, _ error: Int32) -> Failure {
    Failure(
      code: .other,
      message: "\(path) cannot be written: \(SystemReason.text(error)). Check that "
        + "\(folder(of: path)) exists, is yours and has room, or choose another file with -o.")
  }
}
