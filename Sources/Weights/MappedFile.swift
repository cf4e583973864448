import Glibc

/// A regular file mapped read-only; unmapped when the last owner lets go.
///
/// Whoever replaces a mapped file must write beside it and rename: a file that shrinks while it is
/// mapped kills the process that reads it.
package final class MappedFile: @unchecked Sendable {
  package let path: String
  package let bytes: UnsafeRawBufferPointer
  private let mapping: UnsafeMutableRawPointer?
  private let allocation: UnsafeMutableRawBufferPointer?

  /// Maps the file at `path`.
  package init(path: String) throws(FileError) {
    // Without O_NONBLOCK the open of a named pipe would wait for ever.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(path: path, operation: "inspect", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError(path: path, operation: "read", code: EINVAL)
    }
    self.path = path
    allocation = nil
    let byteCount = Int(status.st_size)
    if byteCount == 0 {
      mapping = nil
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      throw FileError(path: path, operation: "map", code: errno)
    }
    mapping = address
    bytes = UnsafeRawBufferPointer(start: address, count: byteCount)
  }

  /// A copy of `contents` that stands for the file `path`, aligned as a mapping is to 64 bytes.
  package init(contents: [UInt8], path: String) {
    self.path = path
    mapping = nil
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: contents.count, alignment: 64)
    copy.copyBytes(from: contents)
    allocation = copy
    bytes = UnsafeRawBufferPointer(copy)
  }

  deinit {
    if let mapping { munmap(mapping, bytes.count) }
    allocation?.deallocate()
  }
}

/// Why the operating system did not give or take a file.
package struct FileError: Error, Equatable, CustomStringConvertible {
  package let path: String
  package let operation: String
  /// The error's number (errno).
  package let code: Int32

  package var isMissing: Bool { code == ENOENT }

  package var description: String {
    let reason = code == EINVAL ? "it is not a regular file" : String(cString: strerror(code))
    return "Could not \(operation) \(path): \(reason). Check the path and its permissions."
  }
}
