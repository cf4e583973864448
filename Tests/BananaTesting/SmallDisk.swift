import Foundation
import Glibc

/// A file system in memory that a test can fill up.
///
/// It is mounted in the namespace of a child process and reached through that process's root, so
/// that nothing is mounted for anybody else and it is gone with the test, however that ends.
package final class SmallDisk {
  /// The folder it is mounted at.
  package let path: String
  private let keeper = Process()
  private let input = Pipe()
  private let folder: String

  /// - Parameter bytes: A multiple of the size of a page.
  /// - Throws: `Unavailable` where the system lets nobody mount.
  package init(bytes: Int) throws {
    folder = "/tmp/banana-disk-\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    let output = Pipe()
    keeper.executableURL = URL(filePath: "/bin/sh")
    let unshare = geteuid() == 0 ? "-m" : "-rm"
    let script = """
      exec unshare \(unshare) sh -c '
        mount -t tmpfs -o size=\(bytes),mode=700 tmpfs "$0" && echo mounted && exec cat' \(folder)
      """
    keeper.arguments = ["-c", script]
    keeper.standardInput = input
    keeper.standardOutput = output
    keeper.standardError = FileHandle.nullDevice
    try keeper.run()
    path = "/proc/\(keeper.processIdentifier)/root\(folder)"
    if output.fileHandleForReading.availableData.isEmpty { throw Unavailable() }
  }

  package struct Unavailable: Error {}

  deinit {
    try? input.fileHandleForWriting.close()
    keeper.waitUntilExit()
    rmdir(folder)
  }

  /// Whether this machine lets this user have one.
  package static let isAvailable = (try? SmallDisk(bytes: 1 << 16)) != nil

  /// Fills the disk up but for `bytes`, with the file `filler`.
  package func fill(butFor bytes: Int) throws {
    var facts = statvfs()
    precondition(statvfs(path, &facts) == 0)
    let free = Int(facts.f_bavail) * Int(facts.f_frsize)
    try Data(count: max(free - bytes, 0)).write(to: URL(filePath: "\(path)/filler"))
  }

  /// Undoes `fill`.
  package func makeRoom() {
    unlink("\(path)/filler")
  }
}
