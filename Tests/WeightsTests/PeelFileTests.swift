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
  @Test(arguments: [
    ("base_model.model.denoiser.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("base_model.model.layers.0.qkv.lora_A.default", "lora_B.default", "layers.0.qkv"),
    ("transformer.layers.0.qkv.lora_A", "lora_B", "layers.0.qkv"),
    ("unet.layers.0.qkv.lora.down", "lora.up", "layers.0.qkv"),
    ("diffusion_model.text_kv.lora_down", "lora_up", "text_kv"),
    ("lora_unet_layers_0_qkv.lora_down", "lora_up", "layers_0_qkv"),
    ("lora_transformer_input.lora_down", "lora_up", "input"),
  ])
  func everyKeyStyleIsRead(_ test: (down: String, up: String, target: String)) throws {
    let stem = test.down.prefix(upTo: try #require(test.down.firstRange(of: ".lora")).lowerBound)
    let peel = try PeelFixture.read(
      PeelFixture.pair("\(test.down).weight", "\(stem).\(test.up).weight"))
    #expect(peel.updates.map(\.target) == [test.target])
    let update = peel.updates[0]
    #expect(update.rank == 2 && update.inWidth == 4 && update.outWidth == 3)
    #expect(update.down == PeelFixture.down && update.up == PeelFixture.up)
  }

  @Test(arguments: [SafetensorsType.float32, .float16, .bfloat16])
  func everyTypeIsRead(type: SafetensorsType) throws {
    let peel = try PeelFixture.read(PeelFixture.peft(type))
    #expect(peel.updates[0].down == PeelFixture.down && peel.updates[0].up == PeelFixture.up)
  }

  @Test func alphaScalesTheUpdate() throws {
    let twice = PeelFixture.up.map { $0 * 2 }
    let alpha = PeelFixture.tensor("lora_unet_a.alpha", [], [4], .float16)
    let kohya = PeelFixture.pair("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight")
    #expect(try PeelFixture.read(kohya + [alpha]).updates[0].up == twice)
    let shared = ["lora_alpha": "4"]
    #expect(try PeelFixture.read(PeelFixture.peft(), metadata: shared).updates[0].up == twice)
    // A layer's own alpha goes before the file's.
    let other = ["lora_alpha": "16"]
    #expect(try PeelFixture.read(kohya + [alpha], metadata: other).updates[0].up == twice)
    let diffusers = [
      "lora_adapter_metadata":
        #"{"transformer.lora_alpha": 4, "transformer.r": 2, "transformer.use_dora": false}"#
    ]
    #expect(try PeelFixture.read(PeelFixture.peft(), metadata: diffusers).updates[0].up == twice)
  }

  @Test func metadataIsShown() throws {
    let peel = try PeelFixture.read(
      PeelFixture.peft(),
      metadata: [
        "modelspec.title": "Pixel art ", "modelspec.trigger_phrase": "pixel art, 8-bit",
        "modelspec.license": "MIT", "modelspec.architecture": "sticker/lora",
        "banana.base_sha256": "ABCD",
      ])
    #expect(peel.title == "Pixel art" && peel.triggerWords == ["pixel art", "8-bit"])
    #expect(peel.license == "MIT" && peel.baseModel == "sticker" && peel.baseModelHash == "abcd")
    #expect(peel.sha256.count == 64 && peel.byteCount > 0)
    let bare = try PeelFixture.read(PeelFixture.peft())
    #expect(bare.title == nil && bare.triggerWords.isEmpty && bare.baseModelHash == nil)
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
      ("another tensor", good + [PeelFixture.tensor("x.bias", [1], [0])], "x.bias"),
      (
        "a DoRA", good + [PeelFixture.tensor("\(stem).dora_scale", [3], [0, 0, 0])], "dora_scale"
      ),
      ("no up", [good[0]], "lacks up"), ("no down", [good[1]], "lacks down"),
      (
        "two styles for one layer",
        good + [PeelFixture.tensor("\(stem).lora_down.weight", [2, 4], PeelFixture.down)], "twice"
      ),
      ("unequal ranks", both([2, 4], [3, 1]), "ranks 2 and 1"),
      ("a large rank", both([129, 1], [1, 129]), "rank 129"),
      ("no rank", both([0, 4], [3, 0]), "shape [0, 4]"),
      ("a convolution", both([2, 4, 3, 3], [3, 2, 1, 1]), "shape [2, 4, 3, 3]"),
      ("NaN", both([2, 4], [3, 2], .nan), "NaN"),
      ("infinity in f16", both([2, 4], [3, 2], .infinity, .float16), "NaN"),
      (
        "integers",
        [.init(name: "a.lora_A.weight", type: .int8, shape: [1, 1], bytes: [1]), good[1]]
          + [.init(name: "a.lora_B.weight", type: .int8, shape: [1, 1], bytes: [1]), good[0]], "I8"
      ),
      (
        "alpha of 0", good + [PeelFixture.tensor("denoiser.layers.0.qkv.alpha", [], [0])], "alpha"
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

  @Test(arguments: [
    ["lora_alpha": "many"], ["lora_alpha": "-1"], ["lora_alpha": "nan"],
    ["lora_adapter_metadata": "{"], ["lora_adapter_metadata": #"{"unet.use_rslora": true}"#],
    ["lora_adapter_metadata": #"{"unet.alpha_pattern": {"a": 1}}"#],
  ])
  func spoiledMetadataIsRefused(metadata: [String: String]) {
    #expect(throws: PeelError.self) {
      try PeelFixture.read(PeelFixture.peft(), metadata: metadata)
    }
  }

  @Test func sizeIsLimited() {
    let contents = [UInt8](repeating: 0, count: PeelFile.maximumBytes + 1)
    #expect(
      throws: PeelError.tooLarge(bytes: contents.count, maximumBytes: PeelFile.maximumBytes)
    ) { try PeelFile(contents: contents, path: "p") }
  }

  @Test func filesAreOpenedByPath() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/peel.safetensors"
    try SafetensorsWriter.write(PeelFixture.peft(.float16), to: path)
    #expect(try PeelFile(path: path).updates.count == 1)
    #expect(throws: PeelError.self) { try PeelFile(path: path + "x") }
    #expect(throws: PeelError.self) { try PeelFile(path: folder.path) }
  }

  /// A file of the largest size can name 380,000 layers; looking through all of them for each took
  /// hours.
  @Test func manyLayersAreReadInLinearTime() throws {
    let tensors = (0..<10_000).flatMap { index in
      [
        PeelFixture.tensor("unet.\(index).lora_A.weight", [1, 1], [1], .float16),
        PeelFixture.tensor("unet.\(index).lora_B.weight", [1, 1], [1], .float16),
      ]
    }
    let file = SafetensorsWriter.bytes(tensors)
    let start = ContinuousClock.now
    #expect(try PeelFile(contents: file, path: "p").updates.count == 10_000)
    #expect(ContinuousClock.now - start < .seconds(20))
  }
}
