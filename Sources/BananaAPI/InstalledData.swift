#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What comes with Banana's programs.
package enum InstalledData {
  /// The path of this program; nil where the kernel does not say.
  package static var executable: String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  }

  /// `../share/banana/NAME` beside the program if it is there, else the folder of that name where
  /// one works: that is how programs find it that are not installed.
  package static func folder(
    _ name: String, executable: String? = InstalledData.executable
  ) -> String {
    guard let executable else { return name }
    let parts = executable.split(separator: "/").dropLast(2)
    let installed = parts.reduce("") { $0 + "/" + $1 } + "/share/banana/\(name)"
    return FileManager.default.fileExists(atPath: installed) ? installed : name
  }
}
