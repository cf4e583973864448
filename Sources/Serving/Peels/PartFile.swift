#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file that is being written beside the place where it will be; it goes with this object unless
/// it was renamed before.
final class PartFile: Sendable {
  static let suffix = ".part"

  let path: String
  private let descriptor: Int32
  private let flush: @Sendable (Int32) -> Int32

  /// Makes an empty file in `folder` that only this user can read.
  /// - Parameter flush: `fsync`.
  init(in folder: String, flush: @escaping @Sendable (Int32) -> Int32) throws(PeelRegistryError) {
    self.flush = flush
    // The dot keeps it apart from every peel's name.
    path = "\(folder)/.\(getpid())-\(UInt64.random(in: 0...UInt64.max))\(Self.suffix)"
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw .system(call: "open", errno: errno, path: folder) }
  }

  deinit {
    close(descriptor)
    discard()
  }

  /// Removes the file, unless it has moved.
  func discard() { unlink(path) }

  func append(_ bytes: [UInt8]) throws(PeelRegistryError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        throw .system(call: "write", errno: errno, path: path)
      }
    }
  }

  /// Returns when the content is on the disk.
  func sync() throws(PeelRegistryError) {
    if flush(descriptor) != 0 { throw .system(call: "fsync", errno: errno, path: path) }
  }

  /// Takes the place of whatever is at `target`, in the same folder.
  func move(to target: String) throws(PeelRegistryError) {
    if rename(path, target) != 0 { throw .system(call: "rename", errno: errno, path: target) }
  }
}
