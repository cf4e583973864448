// struct stat: whichever module the compiler finds it in first, which varies.
import CDispatch

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Which file was at a path, and in which state.
struct FileIdentity: Equatable {
  private let device: UInt64
  private let inode: UInt64
  private let bytes: Int
  private let modified: [Int]

  /// Nil where there is none.
  init?(of path: String) {
    var facts = stat()
    guard stat(path, &facts) == 0 else { return nil }
    device = UInt64(facts.st_dev)
    inode = UInt64(facts.st_ino)
    bytes = Int(facts.st_size)
    modified = [
      Int(facts.st_mtim.tv_sec), Int(facts.st_mtim.tv_nsec), Int(facts.st_ctim.tv_sec),
      Int(facts.st_ctim.tv_nsec),
    ]
  }
}
