/// What uids mean where this process runs (user_namespaces(7)).
package struct UserNamespace: Sendable, Equatable {
  /// As whom the kernel shows all users that have no uid here.
  package let overflowUID: UInt32
  /// Whether there are such users: then many may come with one uid.
  package let isPartial: Bool

  package init(overflowUID: UInt32, isPartial: Bool) {
    self.overflowUID = overflowUID
    self.isPartial = isPartial
  }

  /// - Parameter procRoot: Where procfs is, without a slash at the end.
  package init(procRoot: String = "/proc") {
    overflowUID =
      KernelFile.text(procRoot + "/sys/kernel/overflowuid").flatMap { UInt32($0) } ?? 65_534
    // Lines of: first uid here, first uid outside, how many. Without the file there are no
    // namespaces.
    let lines = KernelFile.text(procRoot + "/self/uid_map")?.split(separator: "\n")
    let uids = lines?.map { line in
      line.split { $0 == " " || $0 == "\t" }.last.flatMap { UInt64($0) } ?? 0
    }
    // The last uid stands for none and is never mapped.
    isPartial = uids.map { $0.reduce(0, +) < UInt64(UInt32.max) } ?? false
  }
}
