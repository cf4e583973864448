import BananaAPI
import BananaTesting
import CPUBackend
import Diffusion
import Foundation
import Graph
import Imaging
import Models
import Serving
import TensorTypes
import Testing

/// A family that no line of the engine or of the daemon knows draws through the daemon.
@Suite(.timeLimit(.minutes(5))) struct PostcardTests {
  private static func serving(_ body: (TestDaemon) async throws -> Void) async throws {
    try await TemporaryFolder.with { folder in
      try PostcardPackage.write(to: folder)
      let model = try LoadedModel(path: folder, catalog: PostcardPackage.catalog)
      let engine = DiffusionEngine(
        model, backend: CPUBackend(threadCount: 1), activations: .float32)
      let limits = EngineLimits(batch: 4, threads: 1, pace: 1)
      try await TestDaemon.serving(
        configuration: .init(limits: limits), models: ModelFolders(others: [folder]).models(),
        makeEngine: { engine }, body: body)
    }
  }

  private static func pixels(
    _ daemon: TestDaemon, _ prompt: String, _ fields: String = ""
  ) async throws -> Pixels {
    let answer = try await daemon.begin(
      prompt, #""seed":5,"provenance":false"# + (fields.isEmpty ? "" : ",") + fields
    ).answer()
    #expect(answer.status == 200, "\(answer.body)")
    let response = try JSONDecoder().decode(
      ImageGenerationResponse.self, from: Data(answer.body.utf8))
    return try PNG.decode(Array(response.data[0].png))
  }

  @Test func drawsEndToEnd() async throws {
    try await Self.serving { daemon async throws in
      let picture = try await Self.pixels(daemon, "red house")
      #expect(picture.width == 48 && picture.height == 32)
      let alphas = stride(from: 3, to: picture.bytes.count, by: 4).map { picture.bytes[$0] }
      #expect(alphas.allSatisfy { $0 == 255 })
      #expect(Set(picture.bytes).count > 50, "a plain picture")
      #expect(try await Self.pixels(daemon, "red house") == picture)
      // What only one of the tokenizers tells apart.
      #expect(try await Self.pixels(daemon, "red boat") != picture)
      #expect(try await Self.pixels(daemon, "Red house") != picture)
      // More than the longer of them reads.
      _ = try await Self.pixels(daemon, String(repeating: "sea wind ", count: 20))
      #expect(try await Self.pixels(daemon, "red house", #""guidance":1"#) != picture)
      #expect(try await Self.pixels(daemon, "red house", #""steps":9"#) != picture)
    }
  }

  @Test func sizesAreItsOwn() async throws {
    try await Self.serving { daemon async throws in
      let tall = try await Self.pixels(daemon, "sea", #""size":"32x48""#)
      #expect(tall.width == 32 && tall.height == 48)
      let small = try await Self.pixels(daemon, "sea", #""size":"24x16""#)
      let large = try await Self.pixels(daemon, "sea")
      let averaged = PremultipliedImage(large).boxAveraged(by: 2).pixels()
      #expect(small.width == 24 && small.height == 16)
      // Once rounded, once before rounding.
      #expect(zip(small.bytes, averaged.bytes).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
    }
  }

  @Test func whatItLacksIsRefused() async throws {
    try await Self.serving { daemon async throws in
      let styled = try await daemon.begin("sea", #""style":"3d""#).answer()
      #expect(styled.status == 400 && styled.body.contains("no styles"), "\(styled.body)")
      var form = TestForm()
      form.addFile("image", try PNG.encode(Pixels(width: 8, height: 8, filledWith: .white)))
      form.add("prompt", "sea")
      let edited = try await form.post(to: daemon, uid: nil)
      #expect(edited.status == 400 && edited.body.contains("cannot start from a picture"))
      #expect(edited.body.contains(#""param":"image""#), "\(edited.body)")
    }
  }

  @Test func samplersAndSpacingsAreChosen() async throws {
    try await Self.serving { daemon async throws in
      func drawn(_ fields: String) async throws -> Pixels {
        try await Self.pixels(
          daemon, "red house", #""steps":4"# + (fields.isEmpty ? "" : ",") + fields)
      }
      let usual = try await drawn("")
      #expect(try await drawn(#""spacing":"trailing","sampler":"dpmpp_2m""#) == usual)
      var pictures = [usual]
      for spacing in ["leading", "karras", "lcm"] {
        pictures.append(try await drawn(#""spacing":"\#(spacing)""#))
      }
      for sampler in ["euler", "euler_a", "ddim", "lcm", "tcd"] {
        pictures.append(try await drawn(#""sampler":"\#(sampler)""#))
      }
      #expect(Set(pictures.map(\.bytes)).count == pictures.count)
      // What consistency models were distilled from goes with their samplers.
      #expect(try await drawn(#""sampler":"tcd","spacing":"lcm""#) == pictures.last)
      #expect(try await drawn(#""sampler":"tcd","spacing":"trailing""#) != pictures.last)
    }
  }

  /// What a picture begins with is its seed's, from channel to channel, in whatever batch.
  @Test func eachPictureBeginsWithTheNoiseOfItsSeed() async throws {
    try await TemporaryFolder.with { folder in
      try PostcardPackage.write(to: folder)
      let model = try LoadedModel(path: folder, catalog: PostcardPackage.catalog)
      let pipeline = Pipeline(model, backend: CPUBackend(threadCount: 1), activations: .float32)
      let request = PictureRequest(prompt: "sea", size: model.facts.nativeSize, seed: 41)
      let (denoising, conditioning) = (try pipeline.begin(request), try pipeline.prepare(request))
      let (places, channels) = (6 * 4, 4)
      for index in 0..<3 as Range<UInt64> {
        let picture = try denoising.begin(conditioning, seed: request.seed &+ index)
        #expect(picture.latents.count == places * channels)
        for (number, value) in picture.latents.enumerated() {
          let (place, channel) = (number / channels, number % channels)
          #expect(value == Philox(seed: 41 + index).normal(at: channel * places + place))
        }
      }
    }
  }

  @Test func aBatchChangesNoPicture() async throws {
    try await Self.serving { daemon async throws in
      let alone = try await Self.pixels(daemon, "blue boat")
      let clients = try await ["blue boat", "red sea"].asyncMap {
        try await daemon.begin($0, #""seed":5,"n":2,"provenance":false"#)
      }
      for (index, client) in clients.enumerated() {
        let response = try JSONDecoder().decode(
          ImageGenerationResponse.self, from: Data(try await client.answer().body.utf8))
        let first = try PNG.decode(Array(response.data[0].png))
        #expect((first == alone) == (index == 0))
      }
    }
  }

  /// A package whose networks do not meet is refused with the name of what is missing.
  @Test func inputsWithoutASourceAreNamed() throws {
    struct Loose: ModelFamily {
      let whole: Postcard
      var facts: ModelFacts { whole.facts }
      var networks: [NetworkDescription] { whole.networks.filter { $0.name != "right" } }
      func graph(of name: NetworkName, _ extents: Extents) -> Graph {
        whole.graph(of: name, extents)
      }
    }
    let whole = try Postcard(Postcard.Configuration(width: 16, steps: 1))
    try whole.checkNetworks()
    do throws(ConfigurationError) {
      try Loose(whole: whole).checkNetworks()
      Issue.record("it was taken")
    } catch { #expect("\(error)".contains("right.keys")) }
  }
}

extension Array {
  fileprivate func asyncMap<Result>(
    _ transform: (Element) async throws -> Result
  ) async rethrows -> [Result] {
    var results: [Result] = []
    for element in self { results.append(try await transform(element)) }
    return results
  }
}
