import Glibc

/// Which file it is, and which content of it: any change to the content changes this too, unless
/// somebody sets the machine's clock back on purpose.
package struct FileStamp: Hashable, Codable, Sendable {
  package var device: UInt64
  package var inode: UInt64
  package var bytes: Int
  /// Since 1970.
  package var modifiedNanoseconds: Int64
  /// Of the last change to content or rights, which nobody can choose.
  package var changedNanoseconds: Int64

  /// Of what `path` leads to; nil where nothing is.
  package init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  init(_ status: stat) {
    func nanoseconds(_ time: timespec) -> Int64 {
      Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    bytes = Int(status.st_size)
    modifiedNanoseconds = nanoseconds(status.st_mtim)
    changedNanoseconds = nanoseconds(status.st_ctim)
  }
}
