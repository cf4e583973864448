import CPUBackend
import Execution
import Foundation
import Graph
import TensorTypes
import Testing
import Weights

@testable import Diffusion
@testable import Models

/// Peels of Stable Diffusion as their writers save them, beside a quantized base or a plain one,
/// against what diffusers, PEFT and LyCORIS compute (`training/banana_training/peel_goldens.py`).
@Suite struct PeelGoldenTests {
  static let names = [
    "peft", "kohya", "peft-patterns", "peft-convolutions", "peft-dora", "locon", "tucker", "loha",
    "loha-tucker", "lokr", "lokr-tucker", "lokr-full", "lokr-both", "ia3", "ia3-input", "dora",
  ]

  @Test(arguments: names) func aPeelDrawsWhatItsWritersDraw(name: String) throws {
    let network = try TinyUNet()
    let file = try network.peel(name)
    let mix = try #require(
      try PeelMix([PeelUse(file: file, strength: 1)], for: network.sites))
    let expected = try network.golden(name)
    #expect(relativeError(try network.prediction(nil), expected) > 0.05, "nothing changes")
    let error = relativeError(try network.prediction(mix), expected)
    #expect(error < 1e-4, "\(name)")
    // What is said of it: every layer of the file has its site.
    let open = OpenPeel(file)
    try open.check(for: network.sites)
    #expect(open.omissions == [] && open.layerCount(of: "tiny") == file.updates.count)
    #expect(mix.layout.sites.count == file.updates.count)
  }

  /// The lengths of a DoRA's rows are worked out when it is made ready, and can be given up.
  @Test(arguments: ["dora", "peft-dora", "kohya"]) func lengthsAreMadeBeforehand(
    name: String
  ) throws {
    let network = try TinyUNet()
    let peel = OpenPeel(try network.peel(name))
    let isDecomposed = peel.file.updates.contains(where: \.isDecomposed)
    #expect(isDecomposed == (name != "kohya"))
    #expect(!peel.isPrepared(for: network.sites))
    var rows = 0
    if isDecomposed {
      #expect(throws: CancellationError.self) {
        try peel.prepare(for: network.sites) {
          rows += 1
          return rows < 20
        }
      }
      #expect(rows == 20 && !peel.isPrepared(for: network.sites))
    }
    try peel.prepare(for: network.sites) { true }
    #expect(peel.isPrepared(for: network.sites))
    // Nothing is left to be worked out.
    try peel.prepare(for: network.sites) { false }
    let mix = try #require(
      try PeelMix([PeelUse(peel, name: name, strength: 1, heldBy: nil)], for: network.sites))
    #expect(relativeError(try network.prediction(mix), try network.golden(name)) < 1e-4)
  }

  /// Several at once, at strengths, against the same changes merged into the weights.
  @Test func severalAlgebrasAreTheSumOfTheirChanges() throws {
    let network = try TinyUNet()
    let uses = try [
      ("dora", 0.75), ("loha-tucker", -0.4), ("ia3", 0.5),
    ].map { PeelUse(file: try network.peel($0.0), strength: $0.1) }
    let mix = try #require(try PeelMix(uses, for: network.sites))
    let expected = try network.merged(uses).prediction(nil)
    let plain = try network.prediction(nil)
    #expect(relativeError(plain, expected) > 0.05, "nothing changes")
    #expect(relativeError(try network.prediction(mix), expected) < 1e-4)
  }

  /// How people's files name a layer's factor: from a layer's name with dots.
  private static let namings: [(what: String, name: @Sendable (String) -> String)] = [
    ("a folder of the network's own", { "base_model.model.\($0).lora_A.weight" }),
    ("an adapter's name", { "unet.\($0).lora_A.default.weight" }),
    ("LyCORIS", { "lycoris_\(flat($0)).lora_down.weight" }),
    ("latent-diffusion's", { "diffusion_model.\(others[$0]!).lora_down.weight" }),
    ("latent-diffusion's, flat", { "lora_unet_\(flat(others[$0]!)).lora_down.weight" }),
    ("old processors", { old("unet.\($0)") }), ("old processors alone", { old($0) }),
  ]

  private static func flat(_ layer: String) -> String { layer.replacing(".", with: "_") }

  private static func old(_ layer: String) -> String {
    guard let attention = layer.firstRange(of: ".attn") else {
      return "\(layer).lora_linear_layer.down.weight"
    }
    let end = layer.index(attention.upperBound, offsetBy: 1)
    let rest = layer[end...].dropFirst().replacing("to_out.0", with: "to_out")
    return "\(layer[..<end]).processor.\(rest)_lora.down.weight"
  }

  private static let others: [String: String] = {
    let layers = try! TinyUNet().layers
    return Dictionary(
      uniqueKeysWithValues: LayerNames.others(for: layers).map { ($0.value, $0.key) })
  }()

  /// The same numbers under other writers' names draw the same, bit for bit.
  @Test(arguments: namings.indices) func otherNamesDrawTheSame(index: Int) throws {
    let naming = Self.namings[index]
    let network = try TinyUNet()
    let file = try network.peel("peft")
    var tensors: [SafetensorsWriter.Tensor] = []
    for update in file.updates {
      let down = naming.name(update.target)
      let up = down.replacing("lora_A", with: "lora_B").replacing(".down.", with: ".up.")
        .replacing("lora_down", with: "lora_up")
      tensors += [
        TinyUNet.tensor(down, [update.rank, update.inWidth], update.down),
        TinyUNet.tensor(up, [update.outWidth, update.rank], update.up),
      ]
    }
    let renamed = try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel")
    let mixes = try [file, renamed].map {
      try network.prediction(PeelMix([PeelUse(file: $0, strength: 1)], for: network.sites))
    }
    #expect(mixes[0] == mixes[1], "\(naming.what)")
  }

  /// Two that scale inputs and outputs of one layer are no sum.
  @Test func scalesThatCannotBeTogetherAreRefused() throws {
    let network = try TinyUNet()
    let uses = try ["ia3", "ia3-input"].map { PeelUse(file: try network.peel($0), strength: 1) }
    #expect {
      _ = try PeelMix(uses, for: network.sites)
    } throws: { "\($0)".contains("(IA)³") }
  }
}

/// The network of the goldens, as a family of two networks.
private struct TinyUNet {
  private static let folder = Goldens.root.appending(path: "Tests/Fixtures/goldens")
  private static let extents = (batch: 2, tokens: 7, height: 8, width: 16)

  let sites: PeelSites
  private let graphs: [(name: String, graph: Graph)]
  private let store: WeightStore
  private let given: SafetensorsFile

  init() throws {
    let folder = Self.folder.appending(path: "stable-diffusion/unet-odd")
    let store = try WeightStore(files: [
      SafetensorsFile(path: folder.appending(path: "weights.safetensors").path)
    ])
    try self.init(store)
  }

  private init(_ store: WeightStore) throws {
    let folder = Self.folder.appending(path: "stable-diffusion/unet-odd")
    let configuration = try JSONDecoder().decode(
      DiffusersConfiguration.self, from: Data(contentsOf: folder.appending(path: "config.json")))
    given = try SafetensorsFile(path: folder.appending(path: "goldens.safetensors").path)
    self.store = store
    let unet = UNet(configuration: try UNetConfiguration(configuration))
    let extents = Self.extents
    graphs = [
      ("context", unet.context(batch: extents.batch, tokens: extents.tokens)),
      (
        "denoiser",
        unet.graph(
          batch: extents.batch, tokens: extents.tokens, height: extents.height,
          width: extents.width)
      ),
    ]
    sites = PeelSites(
      in: graphs.map { .init(network: .denoiser, weights: "unet", graph: $0.graph) },
      model: "tiny", baseSHA256: nil, stores: ["unet": store])
  }

  /// Of both networks.
  var layers: [String] {
    graphs.flatMap(\.graph.weights).map(\.name).filter { $0.hasSuffix(".weight") }
      .map { String($0.dropLast(".weight".count)) }
  }

  func peel(_ name: String) throws -> PeelFile {
    try PeelFile(path: Self.folder.appending(path: "peels/\(name).safetensors").path)
  }

  func golden(_ name: String) throws -> [Float] {
    let file = try SafetensorsFile(
      path: Self.folder.appending(path: "peels/goldens.safetensors").path)
    return try Self.floats(file, name)
  }

  private static func floats(_ file: SafetensorsFile, _ name: String) throws -> [Float] {
    Array(try #require(file.tensor(named: name), "\(name)").bytes.bindMemory(to: Float.self))
  }

  static func tensor(_ name: String, _ shape: [Int], _ values: [Float])
    -> SafetensorsWriter.Tensor
  {
    .init(
      name: name, type: .float32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
  }

  func prediction(_ mix: PeelMix?) throws -> [Float] {
    let backend = CPUBackend(threadCount: 2)
    let bound = backend.bind(store, activations: .float32)
    var values: [String: [Float]] = [:]
    for name in ["hidden", "latents", "time"] { values[name] = try Self.floats(given, name) }
    for (_, graph) in graphs {
      let layout = mix?.layout.restricted(to: Set(graph.weights), of: "unet")
      let attached = layout.map { graph.attachingPeels(to: $0.attachments) } ?? graph
      let plan = backend.plan(attached.fusingEpilogues(), for: store, activations: .float32)
      let session = try Session(bound.compile(plan, in: backend.makeArena()))
      for input in graph.inputs { session.write(values[input.name]!, to: input.name) }
      if let mix, let layout { mix.write(to: session, layout) }
      try session.run()
      for output in graph.outputs { values[output.name] = session.read(output.name) }
    }
    return values["prediction"]!
  }

  /// The same network with peels in its weights: `W + sum of strength (W' - W)`.
  func merged(_ uses: [PeelUse]) throws -> TinyUNet {
    var tensors: [SafetensorsWriter.Tensor] = []
    for weight in Set(graphs.flatMap(\.graph.weights)) {
      let site = PeelSite(weights: "unet", weight: weight)
      let base = try store.weight(named: weight.name, logicalShape: weight.shape).dequantized()
        .map(Double.init)
      var merged = base
      for use in uses {
        guard let update = try use.peel.resolved(for: sites).updates[site] else { continue }
        let changed = Self.changed(base, weight.shape, update)
        for index in base.indices {
          merged[index] += Double(use.strength) * (changed[index] - base[index])
        }
      }
      tensors.append(
        Self.tensor(weight.name, weight.shape.dimensions, merged.map { Float($0) }))
    }
    return try TinyUNet(WeightStore(inMemory: tensors))
  }

  /// One peel's weight, `[out, y, x, in]`.
  private static func changed(
    _ base: [Double], _ shape: Shape, _ update: PeelFile.Update
  ) -> [Double] {
    let (outputs, inputs) = (shape[0], shape.last)
    let places = base.count / (outputs * inputs)
    let (up, down) = (update.up, update.down)
    let (outputScale, inputScale) = (update.outputScale, update.inputScale)
    let magnitudes = update.magnitudes
    var weight = base
    for o in 0..<outputs {
      for place in 0..<places {
        for i in 0..<inputs {
          let index = (o * places + place) * inputs + i
          for r in 0..<update.rank {
            weight[index] +=
              Double(up[o * update.rank + r])
              * Double(down[(r * inputs + i) * places + place])
          }
          weight[index] *= 1 + Double(outputScale?[o] ?? 0)
          weight[index] *= 1 + Double(inputScale?[i] ?? 0)
        }
      }
      if let magnitudes {
        let row = o * places * inputs..<(o + 1) * places * inputs
        let length = weight[row].reduce(0) { $0 + $1 * $1 }.squareRoot()
        for index in row { weight[index] *= Double(magnitudes[o]) / length }
      }
    }
    return weight
  }
}

/// The root mean square of the difference, as a fraction of that of `b`.
private func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  precondition(a.count == b.count, "\(a.count) and \(b.count) elements")
  let difference = zip(a, b).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
  let square = b.reduce(0.0) { $0 + Double($1 * $1) }
  return (difference / square).squareRoot()
}
