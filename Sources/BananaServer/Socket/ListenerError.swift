#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why the daemon's socket could not be made.
package enum ListenerError: Error, Equatable {
  case pathTooLong(path: String, actualBytes: Int, maximumBytes: Int)
  /// A live process answers on the path.
  case alreadyServed(path: String)
  /// Something that is no socket is in the way.
  case notASocket(path: String)
  /// The folder is neither root's nor this user's.
  case foreignFolder(path: String, folder: String, owner: UInt32)
  /// Others may put files into the folder, and take the socket away.
  case openFolder(path: String, folder: String)
  /// `LISTEN_FDS` names something else than one listening Unix socket.
  case badActivation(reason: String)
  case system(call: String, errno: Int32, path: String)
}

extension ListenerError {
  /// Whether another path would do.
  package var isOfPath: Bool {
    switch self {
    case .pathTooLong, .notASocket, .foreignFolder, .openFolder: true
    case .alreadyServed, .badActivation, .system: false
    }
  }
}

extension ListenerError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .pathTooLong(let path, let actualBytes, let maximumBytes):
      "The socket path \(path) has \(actualBytes) bytes and Linux takes at most \(maximumBytes). "
        + "Choose a shorter one with --socket or BANANA_SOCKET."
    case .alreadyServed(let path):
      "Another bananad is serving on \(path). Stop it, or choose another path with --socket."
    case .notASocket(let path):
      "\(path) exists and is not a socket. Remove it, or choose another path with --socket."
    case .foreignFolder(let path, let folder, let owner):
      "The folder \(folder) of the socket \(path) belongs to user \(owner), who could put another "
        + "socket in its place. Choose a folder of your own with --socket."
    case .openFolder(let path, let folder):
      "Others may write to the folder \(folder) and put another socket in the place of \(path). "
        + "Take the right away with chmod go-w \(folder), or choose another with --socket."
    case .badActivation(let reason):
      "Socket activation failed: \(reason). Hand over one Unix socket for apps, and at most one "
        + "for admins from a unit with FileDescriptorName=admin."
    case .system(let call, let errno, let path):
      "\(call) failed for the socket \(path): \(String(cString: strerror(errno))). "
        + "Check that its directory exists and belongs to you, or choose another with --socket."
    }
  }
}
