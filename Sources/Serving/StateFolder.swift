#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The folder for what outlives the daemon: only this user's own, so that nobody else can put
/// anything there or read what users have installed for themselves.
package enum StateFolder {
  /// Looks at a folder that is there; one that is missing is made when it is needed.
  /// - Throws: `StateFolderError`.
  package static func check(_ path: String) throws(StateFolderError) {
    var path = path
    // With one at its end, a link would be what it leads to.
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    for path in [path, path + "/peels", path + "/peels/all"] {
      guard let facts = FileFacts(at: path) else { continue }
      // systemd's own arrangement for a dynamic user is a link of root's.
      let isSystemds = facts.isLink && facts.uid == 0 && geteuid() != 0
      if facts.isLink, !isSystemds { throw .link(path: path) }
      guard let folder = FileFacts(following: path) else { continue }
      guard folder.isFolder else { throw .notAFolder(path: path) }
      if folder.uid != geteuid() { throw .foreign(path: path, owner: folder.uid) }
      if folder.isWritableByOthers { throw .open(path: path) }
    }
  }
}

/// Why a folder is not used for what shall outlive the daemon.
package enum StateFolderError: Error, Equatable {
  case link(path: String)
  case notAFolder(path: String)
  case foreign(path: String, owner: UInt32)
  /// Its group or everybody may write to it.
  case open(path: String)
}

extension StateFolderError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .link(let path):
      "The state folder \(path) is a link, which could lead elsewhere tomorrow. Name the folder "
        + "that is meant with --state."
    case .notAFolder(let path):
      "\(path) is no folder. Remove it, or choose another state folder with --state."
    case .foreign(let path, let owner):
      "The state folder \(path) belongs to user \(owner) and not to the user that bananad runs as "
        + "(\(geteuid())). Give it to that user with chown -R, or choose another with --state."
    case .open(let path):
      "Others may write to the state folder \(path). Take the right away with chmod -R go-w "
        + "\(path), or choose another with --state."
    }
  }
}
