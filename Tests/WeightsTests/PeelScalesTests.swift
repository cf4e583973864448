import TensorTypes
import Testing

@testable import Weights

/// The scale `alpha / rank`, wherever a file says it.
@Suite struct PeelScalesTests {
  private static let kohya = PeelFixture.pair(
    "lora_unet_layers_0_qkv.lora_down.weight", "lora_unet_layers_0_qkv.lora_up.weight")
  private static let diffusers = PeelFixture.pair(
    "transformer.layers.0.qkv.lora_A.weight", "transformer.layers.0.qkv.lora_B.weight")

  private func scale(
    _ tensors: [SafetensorsWriter.Tensor], _ metadata: [String: String] = [:]
  ) throws -> Float {
    let update = try PeelFixture.read(tensors, metadata: metadata).updates[0]
    #expect(update.up == PeelFixture.up.map { $0 * update.scale })
    return update.scale
  }

  /// An alpha of 4 at rank 2, as a scalar of every type.
  @Test func everyTypeOfAlphaIsRead() throws {
    let scalars: [(SafetensorsType, [UInt8])] = [
      (.float16, littleEndianBytes([Float16(4).bitPattern])),
      (.bfloat16, littleEndianBytes([UInt16(Float(4).bitPattern >> 16)])),
      (.float32, littleEndianBytes([Float(4).bitPattern])),
      (.float64, littleEndianBytes([Double(4).bitPattern])),
      (.int8, [4]), (.uint8, [4]), (.int16, [4, 0]), (.uint16, [4, 0]), (.int32, [4, 0, 0, 0]),
      (.uint32, [4, 0, 0, 0]), (.int64, [4, 0, 0, 0, 0, 0, 0, 0]),
      (.uint64, [4, 0, 0, 0, 0, 0, 0, 0]),
    ]
    for (type, bytes) in scalars {
      for shape in [[], [1]] {
        let alpha = SafetensorsWriter.Tensor(
          name: "lora_unet_layers_0_qkv.alpha", type: type, shape: shape, bytes: bytes)
        #expect(try scale(Self.kohya + [alpha]) == 2, "\(type)")
        // It goes before what holds for the whole file.
        #expect(try scale(Self.kohya + [alpha], ["ss_network_alpha": "16"]) == 2)
      }
    }
    let none = PeelFixture.tensor("lora_unet_layers_0_qkv.alpha", [], [0])
    #expect(try scale(Self.kohya + [none]) == 1)
  }

  private static let flatKeys: [(metadata: [String: String], scale: Float)] = [
    (["alpha": "16", "rank": "4"], 8), (["network_alpha": "16"], 8), (["lora_alpha": "4"], 2),
    (["ss_network_dim": "2", "ss_network_alpha": "16.0"], 8), (["ss_network_alpha": "None"], 1),
    (["lora_alpha": "4", "alpha": "4.0"], 2), ([:], 1),
    (["transformer.lora_alpha": "4", "text_encoder.lora_alpha": "32"], 2),
    (["transformer.lora_alpha": "4", "transformer.use_rslora": "True"], 4 / Float(2).squareRoot()),
  ]

  @Test(arguments: flatKeys)
  func trainersKeysAreRead(_ test: (metadata: [String: String], scale: Float)) throws {
    #expect(try scale(Self.diffusers, test.metadata) == test.scale)
  }

  private static let configurations: [(json: String, scale: Float)] = [
    (#"{"transformer.lora_alpha": 4, "transformer.r": 2, "transformer.use_dora": false}"#, 2),
    // The root that the tensors have, whatever else there is.
    (#"{"transformer.lora_alpha": 2, "text_encoder.lora_alpha": 16, "a.lora_alpha": 5}"#, 1),
    (#"{"text_encoder.lora_alpha": 16, "unet.lora_alpha": 2}"#, 1),
    (#"{"text_encoder.lora_alpha": 16}"#, 1), (#"{"lora_alpha": 32, "r": 2}"#, 16),
    (#"{"base_model.model.lora_alpha": 32}"#, 16), (#"{"transformer": {"lora_alpha": 6}}"#, 3),
    (#"{"lora_alpha": 8, "use_rslora": true}"#, 8 / Float(2).squareRoot()),
    (#"{"r": 2, "peft_type": "LORA"}"#, 4), (#"{"lora_alpha": null, "r": 2}"#, 4),
    (#"{"lora_alpha": 2, "alpha_pattern": {"layers.0.qkv": 16}}"#, 8),
    (#"{"transformer.lora_alpha": 2, "transformer.alpha_pattern": {"qkv": 16, "0.qkv": 6}}"#, 8),
    (#"{"lora_alpha": 2, "alpha_pattern": {"layers.1.qkv": 16, "kv": 6}}"#, 1),
    (#"{"lora_alpha": 2, "alpha_pattern": {"layers\\.\\d+\\.(qkv|out)": 6}}"#, 3),
    (#"{"lora_alpha": 2, "alpha_pattern": {"^qkv": 16, ".*qkv": 6}}"#, 3),
    (
      #"{"lora_alpha": 2, "use_rslora": true, "alpha_pattern": {"qkv": 4}}"#,
      4 / Float(2).squareRoot()
    ),
    (#"{"lora_alpha": 2, "target_modules": ["a", {"b": [1]}], "loftq_config": {}}"#, 1),
  ]

  @Test(arguments: configurations)
  func configurationsOfPEFTAreApplied(_ test: (json: String, scale: Float)) throws {
    #expect(try scale(Self.diffusers, ["lora_adapter_metadata": test.json]) == test.scale)
  }

  @Test(arguments: [
    ["lora_alpha": "many"], ["lora_alpha": "-1"], ["lora_alpha": "nan"], ["alpha": "inf"],
    ["lora_alpha": "4", "network_alpha": "8"], ["lora_adapter_metadata": "{"],
    ["lora_adapter_metadata": #"{"unet.lora_alpha": "4"}"#],
    ["lora_adapter_metadata": #"{"unet.lora_alpha": 1e99}"#],
    ["lora_adapter_metadata": #"{"unet.lora_alpha": 1, "dit.lora_alpha": 2}"#],
    ["lora_adapter_metadata": #"{"unet.use_dora": true}"#],
    ["lora_adapter_metadata": #"{"peft_type": "LOHA"}"#],
    ["lora_adapter_metadata": #"{"init_lora_weights": "pissa_niter_4"}"#],
    ["lora_adapter_metadata": #"{"alpha_pattern": {"(a+)+b": 2}}"#],
    ["lora_adapter_metadata": #"{"alpha_pattern": {"a{2}": 2}}"#],
    ["lora_adapter_metadata": #"{"alpha_pattern": {"a": -2}}"#],
    ["lora_adapter_metadata": String(repeating: "[", count: 100_000)],
    ["lora_adapter_metadata": #"{"a":""# + String(repeating: "a", count: 1 << 20) + #""}"#],
  ])
  func whatIsNotUnderstoodIsRefused(metadata: [String: String]) {
    #expect {
      try PeelFixture.read(Self.diffusers, metadata: metadata)
    } throws: { $0 is PeelError && "\($0)".utf8.count < 500 }
  }

  /// Updates whose root has no configuration do not go over all that there are, however many.
  @Test func manyRootsAreLookedUp() throws {
    var metadata = ["unet.lora_alpha": "2"]
    for index in 0..<20_000 { metadata["x\(index).lora_alpha"] = "2" }
    let tensors = (0..<8_000).flatMap { layer in
      [("A", [1, 2]), ("B", [2, 1])].map { part, shape in
        PeelFixture.tensor("transformer.layers.\(layer).out.lora_\(part).weight", shape, [1, 1])
      }
    }
    let updates = try PeelFixture.read(tensors, metadata: metadata).updates
    #expect(updates.count == 8_000 && updates.allSatisfy { $0.scale == 2 })
    metadata["x7.lora_alpha"] = "3"
    #expect(throws: PeelError.ambiguousAlpha("unet.lora_alpha", "x7.lora_alpha")) {
      try PeelFixture.read(tensors, metadata: metadata)
    }
  }

  @Test func expressionsMatchAsInPython() throws {
    let matching = [
      ("a.b", "x.a.b"), (".*", "anything"), ("layers\\.[0-3]\\.q", "m.layers.2.q"),
      ("q|k|v", "a.k"), ("(q|k)_proj", "a.k_proj"), ("ab?c", "ac"), ("ab*?c", "abbc"),
      ("[^x]+", "abc"), ("^a.b$", "a.b"), ("\\w+", "a.q_1"), ("", "a."),
    ]
    for (pattern, name) in matching {
      #expect(try #require(LayerExpression(pattern)).matches(name), "\(pattern) \(name)")
    }
    let others = [("^b", "a.b"), ("b", "a.bc"), ("b", "ab"), ("[0-3]", "a.4"), ("a+", "")]
    for (pattern, name) in others {
      #expect(try #require(LayerExpression(pattern)).matches(name) == false, "\(pattern) \(name)")
    }
    for pattern in ["(", ")", "[", "[]", "a)", "*", "a**", "\\b", "\\", "(a)*", "a{2}", "(?=a)"] {
      #expect(LayerExpression(pattern) == nil, "\(pattern)")
    }
  }
}
