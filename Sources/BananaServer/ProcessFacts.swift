#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The wall clock.
enum UnixTime {
  /// Seconds since 1970.
  static var now: Int { time(nil) }
}

/// What the kernel tells about this process.
enum ProcessFacts {
  static var pid: Int { Int(getpid()) }

  /// Memory that the process holds; nil where the kernel does not tell.
  static var residentBytes: Int? {
    KernelFile.figure("VmRSS:", in: "/proc/self/status").map { $0 * 1024 }
  }

  /// Lets the process hold as many descriptors as the system allows it, for many connections.
  static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
