#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Another effective user for the calling thread, until `end()`; nothing may wait in between.
///
/// The kernel keeps credentials by thread; only the C library makes them equal in a process, so the
/// system call is made directly. Sockets remember who connected them.
package struct Impersonation {
  /// Whether this process may be somebody else for a moment.
  package static var isPossible: Bool { geteuid() == 0 && setresuid != nil }

  private typealias SystemCall = @Sendable @convention(c) (Int, Int, Int, Int) -> Int

  #if arch(x86_64)
    private static let number = 117
  #else
    private static let number = 147
  #endif

  private static let setresuid: SystemCall? = dlsym(nil, "syscall").map {
    unsafeBitCast($0, to: SystemCall.self)
  }

  package init(_ uid: UInt32) throws {
    guard let setresuid = Self.setresuid, setresuid(Self.number, -1, Int(uid), -1) == 0 else {
      throw RawConnection.Failed(call: "setresuid", errno: errno)
    }
  }

  package func end() {
    let result = Self.setresuid?(Self.number, -1, 0, -1)
    precondition(result == 0)
  }
}
