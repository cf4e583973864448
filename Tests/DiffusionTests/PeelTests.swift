import CPUBackend
import Execution
import Graph
import Imaging
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// Peels against models into which the same change was merged.
@Suite struct PeelTests {
  static let linears = [
    "layers.0.qkv", "layers.0.out", "layers.1.gate", "layers.1.up", "layers.1.down", "text_kv",
    "input", "output", "modulation", "final_modulation", "sigma.0", "pooled",
  ]

  let model: LoadedModel
  let weights: [String: WeightReference]

  init() throws {
    let model = try Goldens.tiny().model
    self.model = model
    let graphs = (["context", "denoiser"] as [NetworkName]).map {
      model.family.graph(of: $0, Extents(batch: 1, tokens: 1))
    }
    weights = Dictionary(
      graphs.flatMap(\.weights).map { ($0.name, $0) }, uniquingKeysWith: { a, _ in a })
  }

  /// A peel with random updates of the linears, in PEFT's names or kohya's.
  private func peel(
    _ targets: [String], rank: Int, seed: UInt64, isKohya: Bool = false,
    metadata: [String: String] = [:]
  ) throws -> PeelFile {
    var tensors: [SafetensorsWriter.Tensor] = []
    for (index, target) in targets.enumerated() {
      let shape = weights["\(target).weight"]?.shape ?? [4, 4]
      let stem =
        isKohya
        ? "lora_unet_" + String(target.map { $0 == "." ? "_" : $0 })
        : "base_model.model.denoiser.\(target)"
      let names = isKohya ? ["lora_down", "lora_up"] : ["lora_A", "lora_B"]
      for (part, extents) in [[rank, shape[1]], [shape[0], rank]].enumerated() {
        let noise = Philox(seed: seed, stream: UInt32(2 * index + part))
        let values = (0..<extents[0] * extents[1]).map { noise.normal(at: $0) * 0.1 }
        tensors.append(
          .init(
            name: "\(stem).\(names[part]).weight", type: .float32, shape: extents,
            bytes: values.withUnsafeBytes { Array($0) }))
      }
    }
    return try PeelFile(
      contents: SafetensorsWriter.bytes(tensors, metadata: metadata), path: "peel")
  }

  /// The model's networks with `peels` merged into the weights, everything in f32.
  private func merged(_ peels: [PeelUse]) throws -> BoundModel {
    var tensors: [SafetensorsWriter.Tensor] = []
    for weight in weights.values {
      var values = try model.stores["denoiser"]!.weight(
        named: weight.name, logicalShape: weight.shape
      ).dequantized()
      for peel in peels {
        for update in peel.peel.file.updates where "\(update.target).weight" == weight.name {
          let (down, up) = (update.down, update.up)
          for o in 0..<update.outWidth {
            for i in 0..<update.inWidth {
              for r in 0..<update.rank {
                values[o * update.inWidth + i] +=
                  peel.strength * up[o * update.rank + r]
                  * down[r * update.inWidth + i]
              }
            }
          }
        }
      }
      tensors.append(
        .init(
          name: weight.name, type: .float32, shape: weight.shape.dimensions,
          bytes: values.withUnsafeBytes { Array($0) }))
    }
    var stores = model.stores
    stores["denoiser"] = try WeightStore(inMemory: tensors)
    return bound(stores)
  }

  private func bound(
    _ stores: [String: WeightStore], _ activations: ActivationFormat = .float32
  ) -> BoundModel {
    BoundModel(
      family: model.family, stores: stores, backend: CPUBackend(threadCount: 1),
      activations: activations)
  }

  /// What the context and the denoiser make of random inputs.
  private func outputs(_ networks: BoundModel, _ peels: PeelMix?) throws -> [[Float]] {
    try (["context", "denoiser"] as [NetworkName]).flatMap { network in
      let session = try networks.session(network, Extents(batch: 2, tokens: 4), peels: peels)
      for input in session.plan.graph.inputs
      where !input.name.hasSuffix(".up") && !input.name.hasSuffix(".down") {
        let seed = UInt64(input.name.utf8.reduce(7) { 31 &* $0 &+ Int($1) & 0xFFFF })
        session.write(
          (0..<input.value.shape.count).map(Philox(seed: seed).normal(at:)), to: input.name)
      }
      try session.run()
      return session.plan.graph.outputs.map { session.read($0.name) }
    }
  }

  private func expectAgreement(_ peels: [PeelUse]) throws {
    let mix = try #require(try PeelMix(peels, for: model.peelSites))
    let found = try outputs(bound(model.stores), mix)
    let expected = try outputs(merged(peels), nil)
    let plain = try outputs(bound(model.stores), nil)
    #expect(found.count == expected.count)
    for (found, expected) in zip(found, expected) {
      #expect(normalizedError(found, expected) < 1e-4)
    }
    #expect(zip(plain, expected).contains { normalizedError($0, $1) > 0.05 }, "nothing changes")
  }

  @Test(arguments: [1, 4, 8, 13]) func aPeelIsWhatMergingItWouldBe(rank: Int) throws {
    let peel = try peel(Self.linears, rank: rank, seed: 3)
    try expectAgreement([PeelUse(file: peel, strength: 1)])
    try expectAgreement([PeelUse(file: peel, strength: -0.5)])
  }

  @Test func severalPeelsAreTheirSum() throws {
    try expectAgreement([
      PeelUse(file: try peel(Self.linears, rank: 4, seed: 5), strength: 0.75),
      PeelUse(file: try peel(["text_kv", "layers.0.out"], rank: 9, seed: 6), strength: 1.5),
      PeelUse(file: try peel(["layers.1.up", "output"], rank: 2, seed: 7), strength: 1),
    ])
  }

  /// A strength of 0, and a peel that changes nothing, give the picture bit for bit.
  @Test func strengthZeroIsNoPeel() throws {
    let pipeline = Pipeline(model, backend: CPUBackend(threadCount: 1), activations: .int8)
    func draw(_ peels: [PeelUse]) throws -> [Float] {
      let request = PictureRequest(
        prompt: "a red apple", size: .square(64), steps: 2, seed: 1, peels: peels)
      return try pipeline.draw(request)[0].values
    }
    let peel = try peel(Self.linears, rank: 4, seed: 8)
    let plain = try draw([])
    #expect(try draw([PeelUse(file: peel, strength: 0)]) == plain)
    #expect(try draw([PeelUse(file: peel, strength: 1)]) != plain)
    #expect(try draw([]) == plain)
    let other = PeelUse(file: try self.peel(["output"], rank: 2, seed: 9), strength: 1)
    #expect(
      try draw([other, PeelUse(file: peel, strength: 0)]) == draw([other]))
  }

  /// A swap writes inputs: nothing is compiled and no weight is copied.
  @Test func swappingCompilesAndCopiesNothing() throws {
    let networks = bound(model.stores, .int8)
    _ = try outputs(networks, nil)
    let before = networks.residency
    let first = try #require(
      try PeelMix(
        [PeelUse(file: peel(Self.linears, rank: 8, seed: 1), strength: 1)],
        for: model.peelSites))
    _ = try outputs(networks, first)
    let sessions = try (["context", "denoiser"] as [NetworkName]).map {
      try networks.session($0, Extents(batch: 2, tokens: 4), peels: first).residentBytes
    }
    let after = networks.residency
    #expect(after.sessionBytes == before.sessionBytes + sessions.reduce(0, +))
    #expect(after.weightBytes == before.weightBytes)
    let (compilations, resident) = (networks.compilationCount, after.byteCount)
    for seed in UInt64(2)..<5 {
      let next = try #require(
        try PeelMix(
          [PeelUse(file: peel(Self.linears, rank: 5, seed: seed), strength: 1)],
          for: model.peelSites))
      #expect(next.layout == first.layout)
      let swapped = try outputs(networks, next)
      #expect(try outputs(bound(model.stores, .int8), next) == swapped)
    }
    #expect(networks.compilationCount == compilations && networks.residency.byteCount == resident)
  }

  @Test func kohyasNamesAreResolved() throws {
    let peft = try peel(Self.linears, rank: 4, seed: 2)
    let kohya = try peel(Self.linears, rank: 4, seed: 2, isKohya: true)
    try OpenPeel(kohya).check(for: model.peelSites)
    let mixes = try [peft, kohya].map {
      try outputs(
        bound(model.stores),
        PeelMix([PeelUse(file: $0, strength: 1)], for: model.peelSites))
    }
    #expect(mixes[0] == mixes[1])
  }

  private func mix(_ peels: PeelFile...) throws -> PeelMix {
    try #require(
      try PeelMix(peels.map { PeelUse(file: $0, strength: 1) }, for: model.peelSites))
  }

  /// The room that a mix has at a site.
  private func room(_ mix: PeelMix, _ site: String) throws -> Int? {
    let weight = try #require(weights["\(site).weight"])
    return mix.layout.sites[PeelSite(weights: "denoiser", weight: weight)]?.rank
  }

  @Test func ranksGoIntoBuckets() throws {
    for (rank, room) in [(1, 8), (8, 8), (9, 16), (33, 64), (128, 128), (129, 256)] {
      #expect(try self.room(mix(peel(["output"], rank: rank, seed: 1)), "output") == room)
    }
    let large = try peel(["output"], rank: 129, seed: 1)
    do throws(GenerationError) {
      _ = try PeelMix(
        [1, 2].map { PeelUse(file: large, strength: $0) }, for: model.peelSites)
      Issue.record("a rank of 258 was taken")
    } catch { #expect("\(error)".contains("258")) }
  }

  /// One site of a high rank costs the others nothing, and changes no number of theirs.
  @Test func everySiteHasItsOwnRank() throws {
    let low = try peel(Self.linears, rank: 3, seed: 4)
    let high = try peel(["layers.1.up"], rank: 100, seed: 5)
    let both = try mix(low, high)
    for site in Self.linears {
      #expect(try room(both, site) == (site == "layers.1.up" ? 128 : 8), "\(site)")
    }
    let wide = PeelLayout(sites: both.layout.sites.mapValues { _ in PeelAttachment(rank: 128) })
    let plans = bound(model.stores).plans
    func bytes(_ layout: PeelLayout) -> Int {
      plans.plan(plans.key("denoiser", Extents(batch: 2, tokens: 4), peels: layout)).inputBytes
    }
    #expect(bytes(both.layout) < bytes(wide))
    try expectAgreement([low, high].map { PeelUse(file: $0, strength: 1) })
  }

  /// What padding adds are zeros: with more room the numbers are the same, bit for bit.
  @Test func roomChangesNoNumber() throws {
    let mix = try mix(peel(Self.linears, rank: 7, seed: 4))
    let networks = bound(model.stores, .int8)
    let expected = try outputs(networks, mix)
    for room in PeelMix.ranks {
      let wide = mix.with(
        PeelLayout(sites: mix.layout.sites.mapValues { _ in PeelAttachment(rank: room) }))
      #expect(try outputs(networks, wide) == expected, "\(room)")
    }
  }

  @Test func peelsOfOtherModelsAreRefused() throws {
    func reason(_ peel: PeelFile) -> String {
      do throws(PeelError) {
        try OpenPeel(peel).check(for: model.peelSites)
        return ""
      } catch { return error.description }
    }
    let hash = try #require(model.manifest.files["denoiser.safetensors"]).sha256
    let good = try peel(
      ["output"], rank: 2, seed: 1, metadata: ["banana.base_sha256": hash.uppercased()])
    #expect(reason(good).isEmpty)
    let other = try peel(
      ["output"], rank: 2, seed: 1,
      metadata: ["banana.base_sha256": String(repeating: "0", count: 64)])
    #expect(reason(other).contains("another base"))
    #expect(reason(try peel(["layers.9.qkv"], rank: 2, seed: 1)).contains("layers.9.qkv"))
    #expect(reason(try peel(["layers.0.q_norm"], rank: 2, seed: 1)).contains("q_norm"))
    let narrow = PeelFileFixture.pair("output", [2, 3], [5, 2])
    #expect(reason(try PeelFileFixture.read(narrow)).contains("[5, 3]"))
    // Each fits by itself.
    let width = try #require(weights["layers.0.out.weight"]).shape[0]
    #expect(
      reason(
        try PeelFileFixture.read(PeelFileFixture.pair("layers.0.out", [1, width], [width, 1]))
      ).isEmpty)
    let twice =
      PeelFileFixture.pair("layers.0.out", [1, width], [width, 1])
      + PeelFileFixture.pair("layers_0_out", [1, width], [width, 1])
    #expect(reason(try PeelFileFixture.read(twice)).contains("names the layer"))
  }
}

private enum PeelFileFixture {
  static func pair(_ target: String, _ down: [Int], _ up: [Int]) -> [SafetensorsWriter.Tensor] {
    [("A", down), ("B", up)].map { part, shape in
      .init(
        name: "\(target).lora_\(part).weight", type: .float32, shape: shape,
        bytes: [UInt8](repeating: 0, count: 4 * shape.reduce(1, *)))
    }
  }

  static func read(_ tensors: [SafetensorsWriter.Tensor]) throws -> PeelFile {
    try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel")
  }
}
