import FoundationEssentials
import Glibc
import TensorTypes
import Testing

@testable import Weights

/// Peels to read: one update of `[out 3, in 4]` at rank 2, in any key style.
enum PeelFixture {
  static let down: [Float] = [1, 2, 3, 4, -1, 0.5, 0.25, 8]
  static let up: [Float] = [1, -2, 0.5, 4, 0.125, -1]

  static func tensor(
    _ name: String, _ shape: [Int], _ values: [Float], _ type: SafetensorsType = .float32
  ) -> SafetensorsWriter.Tensor {
    let bytes: [UInt8] = values.flatMap { value in
      switch type {
      case .float16: littleEndianBytes([Float16(value).bitPattern])
      case .bfloat16: littleEndianBytes([UInt16(value.bitPattern >> 16)])
      case .float64: littleEndianBytes([Double(value).bitPattern])
      default: littleEndianBytes([value.bitPattern])
      }
    }
    return .init(name: name, type: type, shape: shape, bytes: bytes)
  }

  static func pair(
    _ down: String, _ up: String, _ type: SafetensorsType = .float32
  ) -> [SafetensorsWriter.Tensor] {
    [tensor(down, [2, 4], Self.down, type), tensor(up, [3, 2], Self.up, type)]
  }

  static func peft(_ type: SafetensorsType = .float32) -> [SafetensorsWriter.Tensor] {
    let stem = "base_model.model.denoiser.layers.0.qkv"
    return pair("\(stem).lora_A.weight", "\(stem).lora_B.weight", type)
  }

  static func read(
    _ tensors: [SafetensorsWriter.Tensor], metadata: [String: String] = [:]
  ) throws(PeelError) -> PeelFile {
    try PeelFile(contents: SafetensorsWriter.bytes(tensors, metadata: metadata), path: "p")
  }
}

@Suite struct PeelFileTests {
  @Test(arguments: [SafetensorsType.float32, .float16, .bfloat16, .float64])
  func everyTypeIsRead(type: SafetensorsType) throws {
    let peel = try PeelFixture.read(PeelFixture.peft(type))
    #expect(peel.updates[0].down == PeelFixture.down && peel.updates[0].up == PeelFixture.up)
  }

  /// What is spoiled, and a piece of the reason.
  static let spoiled: [(what: String, [SafetensorsWriter.Tensor], reason: String)] = {
    let stem = "base_model.model.denoiser.layers.0.qkv"
    func both(_ down: [Int], _ up: [Int], _ value: Float = 1, _ type: SafetensorsType = .float32)
      -> [SafetensorsWriter.Tensor]
    {
      [("A", down), ("B", up)].map { part, shape in
        PeelFixture.tensor(
          "\(stem).lora_\(part).weight", shape,
          Array(repeating: value, count: shape.reduce(1, *)), type)
      }
    }
    let good = PeelFixture.peft()
    return [
      ("nothing", [], "no low-rank"),
      ("another tensor", good + [PeelFixture.tensor("x.gamma", [1], [0])], "x.gamma"),
      ("no up", [good[0]], "lacks up"), ("no down", [good[1]], "lacks down"),
      (
        "two styles for one layer",
        good + [PeelFixture.tensor("\(stem).lora_down.weight", [2, 4], PeelFixture.down)], "twice"
      ),
      ("unequal ranks", both([2, 4], [3, 1]), "ranks 2 and 1"),
      ("a large rank", both([257, 1], [1, 257]), "rank 257"),
      ("no rank", both([0, 4], [3, 0]), "shape [0, 4]"),
      ("NaN", both([2, 4], [3, 2], .nan), "NaN"),
      ("infinity in f16", both([2, 4], [3, 2], .infinity, .float16), "NaN"),
      (
        "integers",
        [.init(name: "a.lora_A.weight", type: .int8, shape: [1, 1], bytes: [1]), good[1]]
          + [.init(name: "a.lora_B.weight", type: .int8, shape: [1, 1], bytes: [1]), good[0]], "I8"
      ),
      (
        "a negative alpha",
        good + [PeelFixture.tensor("denoiser.layers.0.qkv.alpha", [], [-1])], "alpha"
      ),
      (
        "alpha that is a row",
        good + [PeelFixture.tensor("denoiser.layers.0.qkv.alpha", [2], [1, 1])], "shape [2]"
      ),
    ]
  }()

  @Test(arguments: spoiled.indices) func aSpoiledPeelIsRefused(index: Int) {
    let (what, tensors, reason) = Self.spoiled[index]
    do throws(PeelError) {
      _ = try PeelFixture.read(tensors)
      Issue.record("\(what) was read")
    } catch { #expect(error.description.contains(reason), "\(what): \(error)") }
  }

  @Test func sizeIsLimited() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/large.safetensors"
    try SafetensorsWriter.write(PeelFixture.peft(), to: path)
    #expect(truncate(path, PeelFile.maximumBytes + 1) == 0)
    #expect(throws: PeelError.tooLarge(maximumBytes: PeelFile.maximumBytes)) {
      try PeelFile(path: path)
    }
  }

  /// What a header may have is bounded before it is read.
  @Test func headersAreBounded() throws {
    let words = String(repeating: "words, ", count: 3 << 20)
    let long = SafetensorsWriter.bytes(
      PeelFixture.peft(), metadata: ["modelspec.trigger_phrase": words])
    #expect {
      try PeelFile(contents: long, path: "p")
    } throws: { "\($0)".contains("header of") && "\($0)".contains("8388608") }
    let many = (0..<8200).flatMap { index in
      [
        PeelFixture.tensor("unet.\(index).lora_A.weight", [1, 1], [1], .float16),
        PeelFixture.tensor("unet.\(index).lora_B.weight", [1, 1], [1], .float16),
      ]
    }
    #expect {
      try PeelFixture.read(many)
    } throws: { "\($0)".contains("more than the 16384 tensors") }
    let name = String(repeating: "n", count: 1000)
    #expect {
      try PeelFixture.read([PeelFixture.tensor(name, [1], [0])])
    } throws: { "\($0)".utf8.count < 500 }
  }

  @Test func filesAreOpenedByPath() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/peel.safetensors"
    try SafetensorsWriter.write(PeelFixture.peft(.float16), to: path)
    #expect(try PeelFile(path: path).updates.count == 1)
    #expect(throws: PeelError.self) { try PeelFile(path: path + "x") }
    #expect(throws: PeelError.self) { try PeelFile(path: folder.path) }
  }

  /// One of SD 1.5 has up to 300 MB, which stay on the disk.
  @Test func filesAreMappedWhereThatIsSafe() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/large.safetensors"
    let (rank, width) = (128, 4000)
    let bytes = rank * width * 8
    let header =
      #"{"unet.0.lora_A.weight":{"dtype":"F64","shape":[\#(rank),\#(width)],"#
      + #""data_offsets":[0,\#(bytes)]},"#
      + #""unet.0.lora_B.weight":{"dtype":"F64","shape":[\#(width),\#(rank)],"#
      + #""data_offsets":[\#(bytes),\#(2 * bytes)]}}"#
    var start = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    start += Array(header.utf8)
    try Data(start).write(to: URL(filePath: path))
    // The rest is a hole.
    #expect(truncate(path, start.count + 2 * bytes) == 0)
    let peel = try PeelFile(path: path)
    #expect(peel.isMapped && peel.updates.first?.outWidth == width)
    // Others can change this one.
    #expect(chmod(path, 0o666) == 0)
    #expect(try PeelFile(path: path).isMapped == false)
  }

  /// Looking through all layers for each took hours.
  @Test func manyLayersAreReadInLinearTime() throws {
    let tensors = (0..<8000).flatMap { index in
      [
        PeelFixture.tensor("unet.\(index).lora_A.weight", [1, 1], [1], .float16),
        PeelFixture.tensor("unet.\(index).lora_B.weight", [1, 1], [1], .float16),
      ]
    }
    let file = SafetensorsWriter.bytes(tensors)
    let start = ContinuousClock.now
    #expect(try PeelFile(contents: file, path: "p").updates.count == 8000)
    #expect(ContinuousClock.now - start < .seconds(20))
  }
}
