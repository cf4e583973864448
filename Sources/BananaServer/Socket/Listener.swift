import FoundationEssentials
import Serving

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A listening Unix socket, made here or handed over by systemd.
///
/// A socket made here has mode 0660, belongs to the group `banana` when root makes it and that
/// group exists, replaces one that a dead daemon left behind, and is removed at the end.
package struct Listener: Sendable {
  /// The owner and its group may connect.
  package static let groupMode: UInt32 = 0o660
  /// Only the owner may connect.
  package static let ownerMode: UInt32 = 0o600
  /// Clients that wait to be accepted: few, so that nobody waits long behind many others'.
  static let backlog: Int32 = 64

  /// Owned by whoever serves on it.
  package let descriptor: Int32
  package let path: String
  /// Identifies the file, so that only our own is removed; nil when systemd owns it.
  private let identity: String?

  /// A socket that systemd made.
  init(adopting activated: SocketActivation.Activated) {
    self.init(descriptor: activated.descriptor, path: activated.path, identity: nil)
  }

  private init(descriptor: Int32, path: String, identity: String?) {
    self.descriptor = descriptor
    self.path = path
    self.identity = identity
  }

  /// Makes a listening socket at `path`.
  /// - Parameter mode: Who may connect.
  package static func bind(
    path: String, mode: UInt32 = Listener.groupMode
  ) throws(ListenerError) -> Listener {
    let bytes = path.utf8.count
    guard bytes <= UnixSocket.maximumPathBytes else {
      throw .pathTooLong(
        path: path, actualBytes: bytes, maximumBytes: UnixSocket.maximumPathBytes)
    }
    let directory = try makeDirectory(of: path)
    try checkFolder(directory, of: path)
    // Two daemons that start together must not both take the same dead socket away.
    let lock = DirectoryLock(directory)
    defer { lock.release() }
    try removeStale(path)
    let descriptor = try UnixSocket.make()
    do throws(ListenerError) {
      try bind(descriptor, to: path, mode: mode)
      if mode == groupMode { giveToGroup(path) }
      // Nobody can connect before.
      try check(listen(descriptor, backlog), "listen", path)
    } catch {
      close(descriptor)
      throw error
    }
    return Listener(descriptor: descriptor, path: path, identity: identity(of: path))
  }

  /// Removes the socket's file, unless it is systemd's or another daemon's by now.
  package func removeFile() {
    guard let identity, identity == Self.identity(of: path) else { return }
    unlink(path)
  }

  private static func removeStale(_ path: String) throws(ListenerError) {
    guard let facts = try? FileManager.default.attributesOfItem(atPath: path) else { return }
    guard facts[.type] as? FileAttributeType == .typeSocket else { throw .notASocket(path: path) }
    switch try UnixSocket.probe(path) {
    case .live: throw .alreadyServed(path: path)
    case .nothing: return
    case .stale: try check(unlink(path), "unlink", path)
    case .failed(let error): throw .system(call: "connect", errno: error, path: path)
    }
  }

  /// Makes the directory that holds the socket: for everybody's eyes when root does it.
  private static func makeDirectory(of path: String) throws(ListenerError) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    let directory = slash == path.startIndex ? "/" : String(path[..<slash])
    if mkdir(directory, geteuid() == 0 ? 0o755 : 0o700) != 0, errno != EEXIST {
      throw .system(call: "mkdir", errno: errno, path: path)
    }
    return directory
  }

  /// Makes the file with the mode that it shall have, instead of changing it afterwards, when
  /// another could lie there: the kernel takes it from the descriptor, less the process' mask.
  private static func bind(
    _ descriptor: Int32, to path: String, mode: UInt32
  ) throws(ListenerError) {
    try check(fchmod(descriptor, mode), "fchmod", path)
    let mask = umask(0)
    let result = UnixSocket.withAddress(of: path) { systemBind(descriptor, $0, $1) }
    let code = errno
    umask(mask)
    if result != 0 { throw .system(call: "bind", errno: code, path: path) }
  }

  /// Refuses a folder in which somebody else could put another file in the socket's place.
  private static func checkFolder(_ folder: String, of path: String) throws(ListenerError) {
    guard let facts = FileFacts(following: folder) else {
      throw .system(call: "stat", errno: errno, path: path)
    }
    if facts.uid != 0, facts.uid != geteuid() {
      throw .foreignFolder(path: path, folder: folder, owner: facts.uid)
    }
    // With the sticky bit, as /tmp has it, everybody can only take away their own.
    if facts.isWritableByOthers, !facts.isSticky {
      throw .openFolder(path: path, folder: folder)
    }
  }

  private static func giveToGroup(_ path: String) {
    guard geteuid() == 0, let group = getgrnam("banana") else { return }
    _ = lchown(path, 0, group.pointee.gr_gid)
  }

  private static func identity(of path: String) -> String? {
    guard let facts = try? FileManager.default.attributesOfItem(atPath: path),
      let device = facts[.systemNumber], let inode = facts[.systemFileNumber]
    else { return nil }
    // As text: the numbers are Swift's or NSNumber, as Foundation is linked or not.
    return "\(device):\(inode)"
  }

  private static func check(
    _ result: Int32, _ call: String, _ path: String
  ) throws(ListenerError) {
    if result != 0 { throw .system(call: call, errno: errno, path: path) }
  }
}

/// An advisory lock on a directory, held for the moment in which a socket is replaced.
private struct DirectoryLock {
  private let descriptor: Int32

  /// Waits up to two seconds; a lock that somebody else sits on does not keep the daemon down.
  init(_ directory: String) {
    descriptor = systemOpen(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    for _ in 0..<40 {
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
      usleep(50_000)
    }
  }

  func release() {
    if descriptor >= 0 { close(descriptor) }
  }
}

/// `bind(2)`, under a name that the type's own `bind` does not hide.
private func systemBind(
  _ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
) -> Int32 {
  bind(descriptor, address, length)
}

/// `open(2)`, likewise.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 {
  open(path, flags)
}
