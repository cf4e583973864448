import Foundation
import Testing

@testable import Weights

/// Files that others could cut off while they are read are not mapped.
@Suite struct MappedFileTests {
  private let folder: String

  init() throws {
    folder = "/tmp/banana-test-\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    #expect(chmod(folder, 0o755) == 0)
  }

  private func file(_ bytes: [UInt8], mode: mode_t) throws -> String {
    let path = folder + "/file"
    try Data(bytes).write(to: URL(filePath: path))
    #expect(chmod(path, mode) == 0)
    return path
  }

  @Test(
    arguments: [
      (0o644, true), (0o600, true), (0o444, true), (0o664, false), (0o646, false), (0o666, false),
    ] as [(mode_t, Bool)])
  func onlyWhatNobodyElseCanWriteIsMapped(_ mode: mode_t, isMapped: Bool) throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let path = try file(bytes, mode: mode)
    let mapped = try MappedFile(path: path)
    #expect(mapped.isMapped == isMapped && mapped.bytes.elementsEqual(bytes))
    #expect(Int(bitPattern: mapped.bytes.baseAddress) % 64 == 0)
    guard !isMapped else { return }
    // What kills a process that has mapped it.
    #expect(truncate(path, 0) == 0)
    #expect(mapped.bytes.elementsEqual(bytes))
  }

  @Test(arguments: [0o777, 0o775] as [mode_t])
  func aFolderThatOthersWriteToIsReadFrom(_ mode: mode_t) throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = try file([1, 2, 3], mode: 0o644)
    #expect(chmod(folder, mode) == 0)
    let mapped = try MappedFile(path: path)
    #expect(!mapped.isMapped && mapped.bytes.elementsEqual([1, 2, 3]))
  }

  @Test(.enabled(if: geteuid() == 0))
  func aFileOfAnotherUserIsRead() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = try file([1, 2, 3], mode: 0o400)
    #expect(chown(path, 61_001, 61_001) == 0)
    #expect(try !MappedFile(path: path).isMapped)
  }

  @Test func anEmptyFileHasNoBytes() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(try MappedFile(path: try file([], mode: 0o644)).bytes.isEmpty)
  }
}
