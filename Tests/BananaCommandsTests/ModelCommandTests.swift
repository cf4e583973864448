import ArgumentParser
import BananaAPI
import Foundation
import ModelImport
import Testing

@testable import BananaCommands

/// `banana model import`, and what becomes of what it made.
@Suite struct ModelCommandTests {
  private static let tests = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().path
  private static let checkpoint = tests + "/Fixtures/checkpoints/tiny"

  private func folder() throws -> String {
    let path = FileManager.default.temporaryDirectory.path + "/models-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func importTiny(to folder: String, _ options: String...) async throws {
    let arguments = ["model", "import", Self.checkpoint, "--to", folder] + options
    let command = try BananaCommand.parseAsRoot(arguments) as! ModelImportCommand
    try await command.run()
  }

  private func failure(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return (error as? Failure)?.message ?? "\(error)" }
  }

  @Test func whatIsImportedIsFoundAndRemoved() async throws {
    let (own, shipped) = (try folder(), try folder())
    defer { for path in [own, shipped] { try? FileManager.default.removeItem(atPath: path) } }
    try await importTiny(to: own, "--name", "mine", "--quantize", "f16")
    try await importTiny(to: shipped, "--steps", "3")
    let folders = ModelFolders(user: own, system: own + "/none", others: [shipped])
    #expect(folders.storedModels.map(\.name) == ["mine", "tiny"])
    let mine = try ModelRemoveCommand.removable("mine", in: nil, folders)
    #expect(ModelText.text(mine).contains("mine 1  stable-diffusion, "))
    #expect(ModelShowCommand.text(mine).contains("licence creativeml-openrail-m"))
    #expect(
      failure { _ = try ModelRemoveCommand.removable("tiny", in: nil, folders) }
        .contains("came with Banana"))
    #expect(
      failure { _ = try ModelRemoveCommand.removable("none", in: nil, folders) }
        .contains("There is no model \"none\""))
    // A name is no path.
    #expect(
      failure { _ = try ModelRemoveCommand.removable("../\(shipped)/tiny", in: nil, folders) }
        .contains("There is no model"))
    try mine.remove()
    #expect(folders.storedModels.map(\.name) == ["tiny"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: own) == [])
  }

  @Test func sizesAreForPeople() {
    #expect(ModelText.size(0) == "0 MiB")
    #expect(ModelText.size(1) == "1 MiB")
    #expect(ModelText.size(1_400_000_000) == "1.3 GiB")
  }

  @Test func progressIsALine() {
    #expect(ProgressBar.line(0.5) == "importing [############............] 50 %")
  }
}
