#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What a path leads to. The raw value is for people.
enum FileKind: String {
  case file = "a file"
  case folder = "a folder"
  case fifo = "a FIFO"
  case characterDevice = "a device"
  case blockDevice = "a disk"
  case socket = "a socket"

  /// Nil for what is not there, or may not be looked at.
  init?(at path: String) {
    var facts = stat()
    guard stat(path, &facts) == 0 else { return nil }
    self.init(facts)
  }

  init(_ facts: stat) {
    self =
      switch facts.st_mode & S_IFMT {
      case S_IFDIR: .folder
      case S_IFIFO: .fifo
      case S_IFCHR: .characterDevice
      case S_IFBLK: .blockDevice
      case S_IFSOCK: .socket
      default: .file
      }
  }

  /// Whether its bytes go on instead of staying.
  var isStream: Bool {
    switch self {
    case .file, .folder: false
    case .fifo, .characterDevice, .blockDevice, .socket: true
    }
  }
}

/// A system call's error in the words of this program.
enum SystemReason {
  static func text(_ error: Int32) -> String {
    switch error {
    case ENOENT: "there is no such file"
    case EACCES, EPERM: "you may not"
    case EROFS: "the file system is read-only"
    case ENOSPC: "there is no space left"
    case EDQUOT: "your share of the disk is used up"
    case EFBIG: "the file would be larger than ulimit -f allows"
    case EISDIR: "it is a folder"
    case ENOTDIR: "a part of its path is a file and no folder"
    case ELOOP: "its links lead in a circle"
    case ENAMETOOLONG: "its name is too long"
    case EPIPE: "whoever read it has gone"
    case EBADF: "it is closed"
    case EMFILE: "this process may not open more files; ulimit -n raises that"
    case ENFILE: "the system has no more open files to give"
    case EAGAIN: "the system lets you start no more processes; ulimit -u raises that"
    case ENOMEM: "there is no memory left"
    case EIO: "the disk does not answer"
    case ETXTBSY: "it is a program that runs"
    default: String(cString: strerror(error))
    }
  }
}
