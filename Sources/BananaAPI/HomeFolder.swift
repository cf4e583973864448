#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where a user is at home.
package enum HomeFolder {
  /// `HOME`, else what the user database says; nil for a user without one.
  package static func path(environment: [String: String], userID: UInt32) -> String? {
    if let home = environment["HOME"], !home.isEmpty { return home }
    return getpwuid(userID).map { String(cString: $0.pointee.pw_dir) }
  }
}
