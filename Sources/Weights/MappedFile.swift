import Glibc
import Synchronization
import TensorTypes

/// A regular file's bytes, mapped read-only where that is safe; given back when the last owner lets
/// go.
///
/// A file that shrinks while it is mapped kills the process that reads it. So only a file that
/// nobody but root and this process' own user can write is mapped; every other is read into memory
/// whole. Whoever replaces a mapped file must write beside it and rename.
package final class MappedFile: @unchecked Sendable {
  package let path: String
  package let bytes: UnsafeRawBufferPointer
  /// Which content it is; nil where it is only known that it was read, not what is in the file now.
  package let stamp: FileStamp?
  /// Whether the numbers in it were checked.
  private let checked = Atomic(false)
  private let mapping: UnsafeMutableRawPointer?
  /// Holds what is not mapped.
  private let buffer: HostBuffer?

  /// Whether the bytes are the file's own pages, which cost no memory.
  package var isMapped: Bool { mapping != nil }

  /// Whether every number in it was found to be one, now or by an earlier process.
  package var isChecked: Bool { checked.load(ordering: .relaxed) }

  package func noteChecked() { checked.store(true, ordering: .relaxed) }

  /// Maps or reads the file at `path`.
  /// - Parameter mapsAnyones: Whether a file that others may change is mapped too: for a program of
  ///   one command, which may end when somebody cuts it off.
  /// - Throws: `FileError`, with `EFBIG` for a file of more than `maximumBytes`.
  package init(
    path: String, maximumBytes: Int = .max, mapsAnyones: Bool = false
  ) throws(FileError) {
    let (descriptor, status) = try Self.open(path)
    defer { close(descriptor) }
    self.path = path
    let byteCount = Int(status.st_size)
    guard byteCount <= maximumBytes else {
      throw FileError(path: path, operation: "read", code: EFBIG)
    }
    let isSafe = mapsAnyones || Self.isOurs(status) && Self.isInOurFolder(path)
    guard byteCount > 0, isSafe else {
      let buffer = try Self.read(descriptor, byteCount, path)
      mapping = nil
      stamp = nil
      self.buffer = buffer
      bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<byteCount])
      return
    }
    let address = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      throw FileError(path: path, operation: "map", code: errno)
    }
    mapping = address
    stamp = FileStamp(status)
    buffer = nil
    bytes = UnsafeRawBufferPointer(start: address, count: byteCount)
  }

  /// A copy of `contents` that stands for the file `path`, aligned as a mapping is to 64 bytes.
  package init(contents: [UInt8], path: String) {
    self.path = path
    mapping = nil
    stamp = nil
    let buffer = HostBuffer(byteCount: contents.count)
    buffer.bytes.copyBytes(from: contents)
    self.buffer = buffer
    bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<contents.count])
  }

  /// The length of a file that would be mapped and not read; nil for any other.
  package static func mappableBytes(of path: String) -> Int? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0,
      isOurs(status), isInOurFolder(path)
    else { return nil }
    return Int(status.st_size)
  }

  /// Lets go of the pages that lie within `part` of a mapping, which are read again when they are
  /// asked for: whoever goes once through a large file needs no memory for it.
  package func release(_ part: UnsafeRawBufferPointer) {
    guard isMapped, let start = part.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = (Int(bitPattern: start) + page - 1) / page * page
    let end = (Int(bitPattern: start) + part.count) / page * page
    guard end > first else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: first), end - first, MADV_DONTNEED)
  }

  deinit {
    if let mapping { munmap(mapping, bytes.count) }
  }

  /// Opens a regular file.
  private static func open(
    _ path: String
  ) throws(FileError) -> (descriptor: Int32, status: stat) {
    // Without O_NONBLOCK the open of a named pipe would wait for ever.
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    var status = stat()
    let isKnown = fstat(descriptor, &status) == 0
    guard isKnown, status.st_mode & S_IFMT == S_IFREG else {
      let code = isKnown ? EINVAL : errno
      close(descriptor)
      throw FileError(path: path, operation: isKnown ? "read" : "inspect", code: code)
    }
    return (descriptor, status)
  }

  /// Whether nobody but root and this process' user may change it: its owner could give everybody
  /// the right, and an access control list shows in the group's rights.
  private static func isOurs(_ status: stat) -> Bool {
    let isOwnerOurs = status.st_uid == 0 || status.st_uid == geteuid()
    return isOwnerOurs && status.st_mode & (S_IWGRP | S_IWOTH) == 0
  }

  private static func isInOurFolder(_ path: String) -> Bool {
    let folder = path.lastIndex(of: "/").map { path[..<$0].isEmpty ? "/" : String(path[..<$0]) }
    var status = stat()
    return stat(folder ?? ".", &status) == 0 && isOurs(status)
  }

  private static func read(
    _ descriptor: Int32, _ byteCount: Int, _ path: String
  ) throws(FileError) -> HostBuffer {
    let buffer: HostBuffer
    do throws(OutOfMemory) { buffer = try HostBuffer(allocating: byteCount) } catch {
      throw FileError(path: path, operation: "read", code: ENOMEM)
    }
    var count = 0
    while count < byteCount {
      let got = Glibc.read(descriptor, buffer.bytes.baseAddress! + count, byteCount - count)
      if got > 0 {
        count += got
      } else if got == 0 {
        // Somebody has cut it off meanwhile.
        throw FileError(path: path, operation: "read", code: EIO)
      } else if errno != EINTR {
        throw FileError(path: path, operation: "read", code: errno)
      }
    }
    return buffer
  }
}

/// Why the operating system did not give or take a file.
package struct FileError: Error, Equatable, CustomStringConvertible {
  package let path: String
  package let operation: String
  /// The error's number (errno).
  package let code: Int32

  package init(path: String, operation: String, code: Int32) {
    (self.path, self.operation, self.code) = (path, operation, code)
  }

  package var isMissing: Bool { code == ENOENT }

  package var description: String {
    let reason = code == EINVAL ? "it is not a regular file" : String(cString: strerror(code))
    return "Could not \(operation) \(path): \(reason). Check the path and its permissions."
  }
}
