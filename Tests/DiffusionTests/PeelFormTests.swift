import CPUBackend
import Execution
import Graph
import Imaging
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// The same LoRA in every form that writers give it draws the same picture, bit for bit.
@Suite struct PeelFormTests {
  private static let rank = 4
  private static let targets = ["layers.0.qkv", "layers.1.down"]

  private let model: LoadedModel
  private let shapes: [String: Shape]

  init() throws {
    let model = try Goldens.tiny().model
    self.model = model
    shapes = Dictionary(
      model.family.graph(of: "denoiser", Extents(tokens: 1)).weights.map { ($0.name, $0.shape) },
      uniquingKeysWith: { a, _ in a })
  }

  /// How a writer lays out one factor.
  private struct Form: CustomTestStringConvertible, Sendable {
    var name: String
    /// From a layer to the name in front of the factor's own.
    var stem: @Sendable (String) -> String
    var down = "lora_A.weight"
    var up = "lora_B.weight"
    var type = SafetensorsType.float32
    var axes: [Int] = []
    var alpha: SafetensorsType?
    var metadata: [String: String] = [:]

    var testDescription: String { name }
  }

  private static func flat(_ layer: String) -> String {
    String(layer.map { $0 == "." ? "_" : $0 })
  }

  private static func dotted(
    _ name: String, _ root: String, adapter: String? = nil, metadata: [String: String] = [:]
  ) -> Form {
    let end = adapter.map { ".\($0).weight" } ?? ".weight"
    return Form(
      name: name, stem: { "\(root).\($0)" }, down: "lora_A" + end, up: "lora_B" + end,
      metadata: metadata)
  }

  private static func kohya(
    _ name: String, _ root: String = "lora_unet_", alpha: SafetensorsType = .float32,
    axes: [Int] = []
  ) -> Form {
    Form(
      name: name, stem: { root + flat($0) }, down: "lora_down.weight", up: "lora_up.weight",
      axes: axes, alpha: alpha)
  }

  private static let reference = dotted("ref", "base_model.model.denoiser")

  private static let sameForms: [Form] = [
    kohya("kohya"), kohya("alpha i64", alpha: .int64), kohya("alpha f64", alpha: .float64),
    kohya("1x1", axes: [1, 1]), kohya("lycoris", "lycoris_"),
    kohya("compiled kohya", "lora_unet__orig_mod_"),
    dotted("default_0", "transformer", adapter: "default_0"),
    dotted("adapter", "transformer", adapter: "my_style"),
    dotted("orig_mod", "transformer._orig_mod"), dotted("module", "module"),
    dotted("peft in transformer", "transformer.base_model.model"),
    dotted(
      "two roots", "transformer",
      metadata: [
        "lora_adapter_metadata":
          #"{"text_encoder.lora_alpha": 16, "text_encoder.r": 4, "transformer.lora_alpha": 4}"#
      ]),
    Form(name: "f64", stem: { "base_model.model.denoiser.\($0)" }, type: .float64),
  ]

  private func peel(_ form: Form, scale: Float = 1) throws -> PeelFile {
    var tensors: [SafetensorsWriter.Tensor] = []
    for (index, target) in Self.targets.enumerated() {
      let shape = try #require(shapes["\(target).weight"])
      let factors = [(form.down, [Self.rank, shape[1]]), (form.up, [shape[0], Self.rank])]
      for (part, (name, extents)) in factors.enumerated() {
        let noise = Philox(seed: 5, stream: UInt32(2 * index + part))
        let factor = part == 1 ? scale : 1
        let values = (0..<extents.reduce(1, *)).map { noise.normal(at: $0) * 0.1 * factor }
        tensors.append(
          .init(
            name: "\(form.stem(target)).\(name)", type: form.type, shape: extents + form.axes,
            bytes: Self.bytes(values, form.type)))
      }
      if let alpha = form.alpha {
        tensors.append(
          .init(
            name: "\(form.stem(target)).alpha", type: alpha, shape: [],
            bytes: Self.bytes([Float(Self.rank)], alpha)))
      }
    }
    return try PeelFile(
      contents: SafetensorsWriter.bytes(tensors, metadata: form.metadata), path: form.name)
  }

  private static func bytes(_ values: [Float], _ type: SafetensorsType) -> [UInt8] {
    switch type {
    case .float64: values.map { Double($0) }.withUnsafeBytes { Array($0) }
    case .int64: values.map { Int64($0) }.withUnsafeBytes { Array($0) }
    default: values.withUnsafeBytes { Array($0) }
    }
  }

  private func draw(_ peel: PeelFile?) throws -> [Float] {
    let pipeline = Pipeline(model, backend: CPUBackend(threadCount: 1), activations: .int8)
    let peels = peel.map { [PeelUse(file: $0, strength: 1)] } ?? []
    let request = PictureRequest(
      prompt: "a red apple", size: .square(64), steps: 2, seed: 1, peels: peels)
    return try pipeline.draw(request)[0].values
  }

  @Test func everyFormDrawsTheSamePicture() throws {
    let expected = try draw(try peel(Self.reference))
    #expect(try draw(nil) != expected)
    for form in Self.sameForms {
      let peel = try peel(form)
      try OpenPeel(peel).check(for: model.peelSites)
      #expect(try draw(peel) == expected, "\(form.name)")
    }
  }

  /// Alphas in the metadata, against the same scale in the numbers; powers of two are exact.
  @Test func everyAlphaScalesTheSame() throws {
    let expected = try draw(try peel(Self.reference, scale: 4))
    #expect(try draw(try peel(Self.reference)) != expected)
    for key in ["alpha", "network_alpha", "ss_network_alpha", "transformer.lora_alpha"] {
      let form = Self.dotted(key, "transformer", metadata: [key: "16"])
      #expect(try draw(try peel(form)) == expected, "\(key)")
    }
    let configurations = [
      #"{"transformer.lora_alpha": 8, "transformer.use_rslora": true}"#,
      #"{"lora_alpha": 2, "alpha_pattern": {"layers.0.qkv": 16, "down": 16}}"#,
    ]
    for configuration in configurations {
      let form = Self.dotted(
        configuration, "transformer", metadata: ["lora_adapter_metadata": configuration])
      #expect(try draw(try peel(form)) == expected, "\(configuration)")
    }
  }

  /// What this model does not open to peels is said to be so.
  @Test func theTextEncodersPartIsRefusedByName() throws {
    for stem in ["lora_te_text_model_encoder_layers_0_mlp_fc1", "text_encoder.layers.0.q_proj"] {
      let tensors = [("lora_down", [1, 4]), ("lora_up", [4, 1])].map { part, shape in
        SafetensorsWriter.Tensor(
          name: "\(stem).\(part).weight", type: .float32, shape: shape,
          bytes: [UInt8](repeating: 0, count: 16))
      }
      let peel = try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "p")
      #expect {
        try OpenPeel(peel).check(for: model.peelSites)
      } throws: { "\($0)".contains("the text-encoder part is not applied here") }
    }
  }
}
