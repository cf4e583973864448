import Testing
import Weights

/// Textual inversions as people have them.
@Suite struct PeelEmbeddingTests {
  private typealias Tensor = (name: String, shape: [Int])

  private func peel(_ tensors: [Tensor], value: Float = 1) throws(PeelError) -> PeelFile {
    let written = tensors.map { tensor in
      let numbers = (0..<tensor.shape.reduce(1, *)).map { value + Float($0) }
      return SafetensorsWriter.Tensor(
        name: tensor.name, type: .float32, shape: tensor.shape,
        bytes: numbers.withUnsafeBytes { Array($0) })
    }
    return try PeelFile(contents: SafetensorsWriter.bytes(written), path: "peel")
  }

  @Test(
    arguments: [
      ("emb_params", [3, 768], nil, 3), ("clip_l", [1, 768], nil, 1),
      ("<cat>", [2, 5], "<cat>", 2),
      ("cat", [768], nil, 1), ("*", [75, 2], nil, 75),
    ] as [(String, [Int], String?, Int)])
  func everyFormIsRead(name: String, shape: [Int], token: String?, count: Int) throws {
    let embedding = try #require(try peel([(name, shape)]).embedding)
    #expect(embedding.token == token && embedding.count == count)
    #expect(embedding.widths == [1: shape[shape.count - 1]])
    #expect(embedding.vectors(of: 1) == (0..<shape.reduce(1, *)).map { 1 + Float($0) })
  }

  @Test func bothTextEncodersOfSDXLHaveTheirs() throws {
    let file = try peel([("clip_g", [2, 1280]), ("clip_l", [2, 768])])
    #expect(file.updates.isEmpty && file.rank == 0 && file.warnings == [])
    #expect(file.embedding?.widths == [1: 768, 2: 1280])
    #expect(throws: PeelError.self) { try peel([("clip_g", [2, 1280]), ("clip_l", [1, 768])]) }
  }

  private func reason(_ body: () throws(PeelError) -> Void) -> String {
    do throws(PeelError) {
      try body()
      return ""
    } catch { return error.description }
  }

  @Test func whatIsNoneIsRefused() throws {
    #expect(
      reason { () throws(PeelError) in _ = try peel([("emb_params", [76, 768])]) }
        .contains("has 76 vectors; 1 to 75"))
    let wrong: [[Tensor]] = [
      [("emb_params", [0, 768])], [("emb_params", [2, 1])], [("emb_params", [2, 3, 4])],
      [("emb_params", [2, 8]), ("clip_l", [2, 8])], [("a", [2, 8]), ("b", [2, 8])],
      [("unet.conv_in.weight", [2, 8])], [("a b", [2, 8])],
    ]
    for tensors in wrong {
      #expect(throws: PeelError.self, "\(tensors)") { try peel(tensors) }
    }
    let nan = reason { () throws(PeelError) in _ = try peel([("clip_l", [1, 8])], value: .nan) }
    #expect(nan.contains("NaN"))
  }

  /// Files that PyTorch wrote are never read, and who has one is told what to do.
  @Test(
    arguments: [
      [0x50, 0x4B, 3, 4, 0, 0, 0, 0, 0, 0], [0x80, 2, 0x7D, 0x71, 0, 0x58, 1, 1, 1, 1],
    ] as [[UInt8]])
  func picklesAreToldSo(bytes: [UInt8]) {
    let told = reason { () throws(PeelError) in _ = try PeelFile(contents: bytes, path: "x") }
    #expect(told.contains("PyTorch's") && told.contains("Convert it"))
  }
}
