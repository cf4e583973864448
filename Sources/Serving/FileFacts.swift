// struct stat: whichever module the compiler finds it in first, which varies.
import CDispatch

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Who owns a file, and who may write to it.
package struct FileFacts {
  package let uid: UInt32
  let byteCount: Int
  let isLink: Bool
  let isFolder: Bool
  /// By its group or by everybody; an access control list shows in the group's rights.
  package let isWritableByOthers: Bool
  package let isSticky: Bool

  /// What a path leads to; nil, and errno set, where nothing is.
  package init?(following path: String) {
    var facts = stat()
    guard stat(path, &facts) == 0 else { return nil }
    self.init(facts)
  }

  /// What is at the path itself, be it a link; nil, and errno set, where nothing is.
  init?(at path: String) {
    var facts = stat()
    guard lstat(path, &facts) == 0 else { return nil }
    self.init(facts)
  }

  private init(_ facts: stat) {
    uid = facts.st_uid
    byteCount = Int(facts.st_size)
    isLink = facts.st_mode & S_IFMT == S_IFLNK
    isFolder = facts.st_mode & S_IFMT == S_IFDIR
    isWritableByOthers = facts.st_mode & (S_IWGRP | S_IWOTH) != 0
    isSticky = facts.st_mode & S_ISVTX != 0
  }
}
