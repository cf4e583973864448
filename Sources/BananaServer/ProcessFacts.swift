import BananaAPI

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

  static var memory: DaemonStatus.Memory {
    DaemonStatus.Memory(
      residentBytes: kibibytes("VmRSS:", in: "/proc/self/status"),
      availableBytes: kibibytes("MemAvailable:", in: "/proc/meminfo"))
  }

  /// The figure of a line such as `VmRSS:    1234 kB`, in bytes.
  private static func kibibytes(_ label: String, in path: String) -> Int? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard text.hasPrefix(label) else { continue }
      let figure = text.dropFirst(label.count).drop { $0 == " " || $0 == "\t" }
      return Int(figure.prefix { $0.isNumber }).map { $0 * 1024 }
    }
    return nil
  }

  /// Lets the process hold as many descriptors as the system allows it, for many connections.
  static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
