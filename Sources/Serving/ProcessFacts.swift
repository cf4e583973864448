#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The wall clock.
package enum UnixTime {
  /// Seconds since 1970.
  package static var now: Int { time(nil) }
}

/// What the kernel tells about this process.
package enum ProcessFacts {
  package static var pid: Int { Int(getpid()) }

  /// Memory that the process holds; nil where the kernel does not tell.
  package static var residentBytes: Int? {
    KernelFile.figure("VmRSS:", in: "/proc/self/status").map { $0 * 1024 }
  }

  /// Connections that may be open: some descriptors stay for files and for who runs the machine.
  package static var connectionLimit: Int {
    var limit = rlimit()
    var descriptors = 1024
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      // What it is raised to.
      descriptors = Int(min(limit.rlim_max, 1 << 16))
    }
    return max(descriptors - 64, descriptors / 2)
  }

  /// Pieces of work beside the engine's that are done at a time.
  package static var turnWidth: Int { max(sysconf(Int32(_SC_NPROCESSORS_ONLN)) / 2, 2) }

  /// Lets the process hold as many descriptors as the system allows it, for many connections.
  package static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
