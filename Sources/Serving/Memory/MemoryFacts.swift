/// How much memory there is for new work, from the kernel's files below roots that tests choose.
package struct MemoryFacts: Sendable {
  private let procRoot: String
  private let cgroupRoot: String

  /// - Parameters:
  ///   - procRoot: Where procfs is, without a slash at the end.
  ///   - cgroupRoot: Where the cgroup v2 hierarchy is, likewise.
  package init(procRoot: String = "/proc", cgroupRoot: String = "/sys/fs/cgroup") {
    self.procRoot = procRoot
    self.cgroupRoot = cgroupRoot
  }

  /// What the machine can give without swapping, and no more than what the process's control groups
  /// leave; nil where the kernel does not tell.
  package var availableBytes: Int? {
    ([machineBytes] + groups.map(roomBytes)).compactMap { $0 }.min()
  }

  /// The pressure files that concern this process: its control group's, then the machine's.
  package var pressureFiles: [String] {
    groups.prefix(1).map { $0 + "/memory.pressure" } + [procRoot + "/pressure/memory"]
  }

  private var machineBytes: Int? {
    KernelFile.figure("MemAvailable:", in: procRoot + "/meminfo").map { $0 * 1024 }
  }

  /// The process's control group and those above it, as directories.
  private var groups: [String] {
    guard let text = KernelFile.text(procRoot + "/self/cgroup"),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
    else { return [] }
    var path = line.dropFirst("0::".count)
    // A process outside of its namespace's root shows as /../…, which is nobody's directory here.
    if path.contains("/../") || path == "/" { return [cgroupRoot] }
    var directories: [String] = []
    while path.count > 1, let slash = path.lastIndex(of: "/") {
      directories.append(cgroupRoot + path)
      path = path[..<slash]
    }
    return directories
  }

  /// What a control group's limit leaves: files in its page cache, mapped weights among them, give
  /// way to new work.
  private func roomBytes(_ group: String) -> Int? {
    let limits = ["/memory.max", "/memory.high"].compactMap { KernelFile.integer(group + $0) }
    guard let limit = limits.min(), let current = KernelFile.integer(group + "/memory.current")
    else { return nil }
    let stat = group + "/memory.stat"
    let files =
      (KernelFile.figure("inactive_file", in: stat) ?? 0)
      + (KernelFile.figure("active_file", in: stat) ?? 0)
    return max(0, limit - max(0, current - files))
  }
}
