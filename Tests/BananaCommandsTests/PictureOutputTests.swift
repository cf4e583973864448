import BananaTesting
import Foundation
import Glibc
import Serving
import Testing

@testable import BananaCommands

/// What is at the path of a picture stays what it is, and what cannot be written is said before.
@Suite(.timeLimit(.minutes(5))) struct PictureOutputTests {
  private static let picture = Data(TestPattern.signature + [1, 2, 3])

  private func write(_ path: String, count: Int = 1) async throws {
    try await PictureOutput(path, count: count)
      .write(Array(repeating: Self.picture, count: count))
  }

  private func facts(_ path: String) throws -> stat {
    var facts = stat()
    try #require(lstat(path, &facts) == 0)
    return facts
  }

  private func content(_ path: String) -> Data? { FileManager.default.contents(atPath: path) }

  /// What comes out of a FIFO until its writer ends.
  private static func readOnce(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while read(descriptor, &byte, 1) == 1 { bytes.append(byte) }
    return bytes
  }

  private func failure(_ path: String, count: Int = 1) -> Failure? {
    do {
      _ = try PictureOutput(path, count: count)
      return nil
    } catch { return error as? Failure }
  }

  @Test func modesOwnersAndLinksAreKept() async throws {
    try await TemporaryFolder.with { folder async throws in
      let file = folder + "/a.png"
      try Data([9]).write(to: URL(filePath: file))
      #expect(chmod(file, 0o640) == 0)
      // Only root may give a file away.
      let isRoot = geteuid() == 0
      if isRoot { #expect(chown(file, 12_345, 12_346) == 0) }
      #expect(symlink("a.png", folder + "/link.png") == 0)
      #expect(symlink("link.png", folder + "/far.png") == 0)
      try await write(folder + "/far.png")
      #expect(content(file) == Self.picture)
      let after = try facts(file)
      #expect(after.st_mode & 0o7777 == 0o640)
      if isRoot { #expect(after.st_uid == 12_345 && after.st_gid == 12_346) }
      for name in ["link.png", "far.png"] {
        #expect(try facts("\(folder)/\(name)").st_mode & S_IFMT == S_IFLNK)
      }
      // A link to what is not there yet makes it.
      #expect(symlink("new.png", folder + "/begin.png") == 0)
      try await write(folder + "/begin.png")
      #expect(content(folder + "/new.png") == Self.picture)
      #expect(try facts(folder + "/begin.png").st_mode & S_IFMT == S_IFLNK)
      // Both names of one file.
      #expect(link(file, folder + "/other.png") == 0)
      try Data([7]).write(to: URL(filePath: folder + "/plain.png"))
      try await write(folder + "/other.png")
      #expect(try facts(file).st_ino == facts(folder + "/other.png").st_ino)
      #expect(content(file) == Self.picture)
      // What is new is as the umask says, and nothing is left beside.
      let mask = umask(0o027)
      defer { umask(mask) }
      try await write(folder + "/fresh.png")
      #expect(try facts(folder + "/fresh.png").st_mode & 0o777 == 0o640)
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(!names.contains { $0.hasPrefix(".banana") })
    }
  }

  @Test func devicesAndFIFOsAreWrittenThrough() async throws {
    let device = try facts("/dev/null")
    try await write("/dev/null")
    try await write("/dev/null", count: 3)
    #expect(try facts("/dev/null").st_rdev == device.st_rdev)
    do {
      try await write("/dev/full")
      Issue.record("/dev/full took a picture")
    } catch let failure as Failure {
      #expect(failure.message.contains("no space left"))
    }
    try await TemporaryFolder.with { folder async throws in
      let fifo = folder + "/pipe.png"
      #expect(mkfifo(fifo, 0o600) == 0)
      // On a thread of its own, which may wait for the writer.
      async let read = withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: Self.readOnce(fifo)) }
      }
      try await write(fifo)
      #expect(await read == Array(Self.picture))
      #expect(try facts(fifo).st_mode & S_IFMT == S_IFIFO)
      #expect(failure(fifo, count: 2)?.code == .usage)
      // One that nobody reads can be given up.
      let waiting = Task { try await write(fifo) }
      try await Task.sleep(for: .milliseconds(50))
      waiting.cancel()
      await #expect(throws: CancellationError.self) { try await waiting.value }
    }
  }

  @Test func whatCannotBeWrittenIsSaidBefore() async throws {
    try await TemporaryFolder.with { folder async throws in
      let readOnly = folder + "/kept.png"
      try Data([9]).write(to: URL(filePath: readOnly))
      #expect(chmod(readOnly, 0o444) == 0)
      #expect(symlink("kept.png", folder + "/link.png") == 0)
      #expect(symlink("circle.png", folder + "/circle.png") == 0)
      #expect(symlink("/nowhere/at/all.png", folder + "/lost.png") == 0)
      let long = String(repeating: "é", count: 126)
      let cases: [(path: String, count: Int, code: FailureCode, words: String)] = [
        (readOnly, 1, .other, "read-only"), (folder + "/link.png", 1, .other, "read-only"),
        (folder, 1, .usage, "is a folder"), (folder + "/", 1, .usage, "is a folder"),
        (".", 1, .usage, "is a folder"), ("", 1, .usage, "has no name"),
        (folder + "/none/a.png", 1, .other, "mkdir -p \(folder)/none"),
        (folder + "/lost.png", 1, .other, "there is no folder /nowhere/at"),
        (readOnly + "/a.png", 1, .other, "a file and no folder"),
        (folder + "/circle.png", 1, .other, "in a circle"),
        (folder + "/a.jpg", 1, .usage, "Name it \(folder)/a.png."),
        (folder + "/a.JPEG", 1, .usage, "banana writes PNG"),
        (folder + "/a.b.webp", 2, .usage, "banana writes PNG"),
        (folder + "/\(long).png", 1, .usage, "too long"),
        // The number makes it too long.
        (folder + "/\(String(repeating: "x", count: 250)).png", 2, .usage, "too long"),
        (folder + String(repeating: "/.", count: 2100) + "/a.png", 1, .usage, "too long"),
        ("-", 2, .usage, "Leave --count out"),
      ]
      for (path, count, code, words) in cases {
        let failure = failure(path, count: count)
        #expect(failure?.code == code, "\(path.prefix(80)): \(String(describing: failure))")
        #expect(failure?.message.contains(words) == true, "\(String(describing: failure))")
        #expect(failure?.message.contains("Error Domain") == false)
      }
      #expect(content(readOnly) == Data([9]))
    }
  }

  @Test func namesAreOfAnyScript() async throws {
    try await TemporaryFolder.with { folder async throws in
      let names = [
        "りんご 🍎.png", "تفاحة.png", "ñ e\u{301}.PNG", "\u{301}mark.png", "none", ".png", "a\nb.png",
        "-o.png", "\u{202E}gnp.exe", String(repeating: "x", count: 251) + ".png",
        String(repeating: "字", count: 83) + ".png",
      ]
      for name in names {
        try await write("\(folder)/\(name)")
        #expect(content("\(folder)/\(name)") == Self.picture, "\(name)")
      }
    }
    #expect(PictureOutput.paths(for: "d/\u{301}a.png", count: 2)[1] == "d/\u{301}a-2.png")
    #expect(PictureOutput.paths(for: "d.\u{301}/a", count: 2)[0] == "d.\u{301}/a-1")
    #expect(PictureOutput.paths(for: "a.\u{301}png", count: 2)[0] == "a-1.\u{301}png")
  }

  @Test(.enabled(if: SmallDisk.isAvailable))
  func aFullDiskIsSaidBefore() throws {
    let disk = try SmallDisk(bytes: 64 << 10)
    try disk.fill(butFor: 0)
    let failure = failure(disk.path + "/a.png")
    #expect(failure?.code == .other && failure?.message.contains("no space left") == true)
    disk.makeRoom()
    #expect(self.failure(disk.path + "/a.png") == nil)
  }

  @Test func inputsSayWhatTheyAre() async throws {
    func failure(_ path: String) -> Failure? {
      do {
        _ = try InputFile.picture(path)
        return nil
      } catch { return error as? Failure }
    }
    try await TemporaryFolder.with { folder async throws in
      let cases: [(name: String, bytes: [UInt8], words: String)] = [
        ("a.png", [0xFF, 0xD8, 0xFF, 0xE0], "This is a JPEG; PNG is needed."),
        ("b.png", [], "This is an empty file"), ("c", Array("hello".utf8), "This is text"),
      ]
      for (name, bytes, words) in cases {
        try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
        let failure = failure("\(folder)/\(name)")
        #expect(failure?.code == .usage && failure?.message.contains(words) == true)
      }
      #expect(failure(folder)?.message.contains("is a folder") == true)
      #expect(failure(folder + "/none")?.message.contains("there is no such file") == true)
      #expect(failure(folder + "/c/d")?.message.contains("a file and no folder") == true)
      #expect(failure("/dev/null")?.message.contains("an empty file") == true)
      #expect(failure("/dev/zero")?.message.contains("more than") == true)
      try Self.picture.write(to: URL(filePath: folder + "/ok"))
      #expect(try InputFile.picture(folder + "/ok") == Self.picture)
    }
  }
}
