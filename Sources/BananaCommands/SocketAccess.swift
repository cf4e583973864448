#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Who may open a daemon's socket, by its owner, its group and the folders above it.
struct SocketAccess {
  let path: String
  /// The socket's group; nil when the socket cannot be looked at.
  private let groupID: gid_t?

  init(path: String) {
    self.path = path
    var facts = stat()
    groupID = stat(path, &facts) == 0 ? facts.st_gid : nil
  }

  var isThere: Bool { groupID != nil }
  var isMine: Bool { access(path, R_OK | W_OK) == 0 }

  /// The name of the socket's group, or its number where it has none.
  var group: String {
    guard let groupID else { return "banana" }
    return getgrgid(groupID).map { String(cString: $0.pointee.gr_name) } ?? "\(groupID)"
  }

  /// How this user comes to open it.
  var remedy: String {
    isMember
      ? "You were added to the group \(group): log out and in again."
      : "sudo usermod -aG \(group) \(userName), then log out and in again."
  }

  /// How the daemon is started that serves here.
  var start: String {
    path.hasPrefix("/run/banana/")
      ? "sudo systemctl enable --now bananad.socket" : "bananad --socket \(path)"
  }

  private var userName: String {
    getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(geteuid())"
  }

  /// Whether the group's list has this user, though the login may be older than that.
  private var isMember: Bool {
    guard let groupID, var next = getgrgid(groupID)?.pointee.gr_mem else { return false }
    let name = userName
    while let member = next.pointee {
      if String(cString: member) == name { return true }
      next += 1
    }
    return false
  }
}
