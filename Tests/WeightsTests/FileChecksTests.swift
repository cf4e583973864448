import Foundation
import TensorTypes
import Testing

@testable import Weights

/// What was checked once is not checked again, unless anything about it is another.
@Suite struct FileChecksTests {
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "banana-\(UUID().uuidString)")
    try FileManager.default.createDirectory(
      at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
  }

  private var memory: String { folder.appending(path: "state/checked-files.json").path }

  private func write(_ text: String, mode: Int = 0o644) throws -> String {
    let path = folder.appending(path: "weights").path
    try Data(text.utf8).write(to: URL(filePath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
  }

  private func vouches(_ path: String, _ sha256: String = "a") throws -> Bool {
    FileChecks(path: memory).vouches(for: try MappedFile(path: path), sha256: sha256)
  }

  @Test func remembersOverProcesses() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try write("weights")
    #expect(try !vouches(path))
    FileChecks(path: memory).note([(try MappedFile(path: path), "a")])
    #expect(try vouches(path))
    #expect(try !vouches(path, "b"))
    let state = folder.appending(path: "state").path
    #expect(try FileManager.default.contentsOfDirectory(atPath: state) == ["checked-files.json"])
  }

  @Test func aChangedFileIsCheckedAgain() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try write("weights")
    FileChecks(path: memory).note([(try MappedFile(path: path), "a")])
    var times = [timespec](repeating: timespec(), count: 2)
    var status = stat()
    #expect(stat(path, &status) == 0)
    times = [status.st_atim, status.st_mtim]
    // The same length, and the time set back: nobody can set back when that was done.
    let handle = try FileHandle(forWritingTo: URL(filePath: path))
    try handle.write(contentsOf: Data("weighty".utf8))
    try handle.close()
    #expect(utimensat(AT_FDCWD, path, times, 0) == 0)
    var after = stat()
    #expect(stat(path, &after) == 0 && after.st_mtim.tv_nsec == status.st_mtim.tv_nsec)
    #expect(try !vouches(path))
    // Another file in its place, byte for byte the same.
    FileChecks(path: memory).note([(try MappedFile(path: path), "a")])
    #expect(try vouches(path))
    let copy = path + ".copy"
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    #expect(rename(copy, path) == 0)
    #expect(try !vouches(path))
  }

  @Test func whatOthersMayWriteIsNeverTrusted() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try write("weights")
    FileChecks(path: memory).note([(try MappedFile(path: path), "a")])
    for mode in [0o664, 0o646] {
      chmod(path, mode_t(mode))
      #expect(try MappedFile(path: path).stamp == nil)
      #expect(try !vouches(path))
      FileChecks(path: memory).note([(try MappedFile(path: path), "a")])
    }
    chmod(path, 0o644)
    #expect(try !vouches(path))
    FileChecks(path: memory).note([(try MappedFile(path: path), "a")])
    #expect(try vouches(path))
    // Nor a memory that others may have written.
    chmod(memory, 0o622)
    #expect(try !vouches(path))
    chmod(memory, 0o600)
    try Data("{".utf8).write(to: URL(filePath: memory))
    #expect(try !vouches(path))
  }

  @Test func numbersAreCheckedOnce() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let tensor = SafetensorsWriter.Tensor(
      name: "w", type: .float32, shape: [2],
      bytes: [Float(1), .nan].withUnsafeBytes { Array($0) })
    let path = folder.appending(path: "w.safetensors").path
    try Data(SafetensorsWriter.bytes([tensor])).write(to: URL(filePath: path))
    let file = try SafetensorsFile(path: path)
    let store = try WeightStore(files: [file])
    #expect(throws: WeightError.notFinite(tensor: "w")) {
      try store.weight(named: "w", logicalShape: [2])
    }
    file.file.noteChecked()
    #expect(throws: Never.self) { try store.weight(named: "w", logicalShape: [2]) }
  }
}
