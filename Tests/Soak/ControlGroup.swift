import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A control group with a limit of memory, below this process's own where the kernel allows that.
struct ControlGroup {
  private let directory: String
  private let isUnified: Bool

  /// Makes one.
  /// - Throws: `SoakError` that says what the machine lacks.
  init(limitBytes: Int, root: String = "/sys/fs/cgroup") throws {
    let own = Self.ownGroups()
    var reasons: [String] = []
    // Version 2: only a group without processes can hand its controllers down, so beside our own.
    if let path = own[""] {
      let parent = root + (path == "/" ? "" : URL(filePath: path).deletingLastPathComponent().path)
      let controllers = Self.read(parent + "/cgroup.subtree_control") ?? ""
      if controllers.split(whereSeparator: \.isWhitespace).contains("memory") {
        directory = "\(parent)/banana-soak-\(getpid())"
        isUnified = true
        try make(["memory.max": limitBytes, "memory.swap.max": 0])
        return
      }
      reasons.append("\(parent)/cgroup.subtree_control does not name memory")
    }
    guard let path = own["memory"] else {
      throw SoakError(
        "There is no control group for memory (\(reasons.joined(separator: "; "))). Run the memory "
          + "test as root on a machine with cgroup v2, or with v1's memory controller mounted.")
    }
    directory = "\(root)/memory\(path == "/" ? "" : path)/banana-soak-\(getpid())"
    isUnified = false
    try make(["memory.limit_in_bytes": limitBytes, "memory.memsw.limit_in_bytes": limitBytes])
  }

  private func make(_ limits: [String: Int]) throws {
    guard mkdir(directory, 0o755) == 0 else {
      throw SoakError(
        "The control group \(directory) cannot be made (errno \(errno)). Run this as root.")
    }
    // Version 1 wants the lower limit first.
    for (name, value) in limits.sorted(by: { $0.key < $1.key }) {
      let path = "\(directory)/\(name)"
      // Where swap is not accounted for, there is no such file.
      guard FileManager.default.fileExists(atPath: path) else { continue }
      let file = open(path, O_WRONLY)
      let text = "\(value)\n"
      let written = write(file, text, text.utf8.count)
      close(file)
      if written < 0 {
        remove()
        throw SoakError("\(path) cannot be set to \(value): errno \(errno)")
      }
    }
  }

  /// Where processes write their id to join.
  var members: String { directory + "/cgroup.procs" }

  var version: Int { isUnified ? 2 : 1 }

  /// Processes that the kernel killed for want of memory.
  var kills: Int {
    figure("oom_kill", in: isUnified ? "memory.events" : "memory.oom_control")
  }

  /// How often something had to give way at the limit: pages of files, as a rule.
  var limitHits: Int {
    isUnified
      ? figure("max", in: "memory.events")
      : Self.read(directory + "/memory.failcnt").flatMap { Int($0) } ?? 0
  }

  /// The most that was ever charged.
  var peakBytes: Int {
    Self.read(directory + (isUnified ? "/memory.peak" : "/memory.max_usage_in_bytes"))
      .flatMap { Int($0) } ?? 0
  }

  /// Removes the group once it is empty.
  func remove() {
    rmdir(directory)
  }

  private func figure(_ name: String, in file: String) -> Int {
    let lines = (Self.read("\(directory)/\(file)") ?? "").split(separator: "\n")
    return lines.first { $0.hasPrefix(name + " ") }
      .flatMap { Int($0.dropFirst(name.count + 1)) } ?? 0
  }

  /// This process's groups by controller; version 2's is "".
  private static func ownGroups() -> [String: String] {
    var groups: [String: String] = [:]
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      for controller in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
        groups[String(controller)] = String(parts[2])
      }
    }
    return groups
  }

  private static func read(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map {
      String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }
}
