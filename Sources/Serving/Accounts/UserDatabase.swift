#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Which users the machine knows; asking may wait for a directory service.
package struct UserDatabase: Sendable {
  package enum Answer: Sendable, Equatable {
    case user(UInt32)
    case nobody
    /// It could not be asked.
    case failed
  }

  package var user: @Sendable (_ uid: UInt32) -> Answer
  package var userNamed: @Sendable (_ name: String) -> Answer

  package init(
    user: @escaping @Sendable (_ uid: UInt32) -> Answer,
    userNamed: @escaping @Sendable (_ name: String) -> Answer
  ) {
    self.user = user
    self.userNamed = userNamed
  }

  /// The C library's: `/etc/passwd`, and what nsswitch.conf(5) names beside it.
  package static let system = UserDatabase(
    user: { uid in answer { getpwuid_r(uid, $0, $1, $2, $3) } },
    userNamed: { name in answer { getpwnam_r(name, $0, $1, $2, $3) } })

  private typealias Call = (
    UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
    UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
  ) -> Int32

  private static func answer(_ call: Call) -> Answer {
    var room = 4096
    while true {
      var entry = passwd()
      var found: UnsafeMutablePointer<passwd>?
      var text = [CChar](repeating: 0, count: room)
      switch call(&entry, &text, room, &found) {
      case 0: return found == nil ? .nobody : .user(entry.pw_uid)
      case ENOENT, ESRCH: return .nobody
      case EINTR: continue
      case ERANGE where room < 1 << 20: room *= 4
      default: return .failed
      }
    }
  }
}
