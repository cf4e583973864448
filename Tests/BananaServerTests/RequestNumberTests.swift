import BananaAPI
import BananaTesting
import CPUBackend
import Diffusion
import FoundationEssentials
import Imaging
import Serving
import TensorTypes
import Testing

/// Numbers of a request that a sampler cannot do with end that request alone, on a real engine
/// whose model is not distilled, and never another user's job or the process.
@Suite(.timeLimit(.minutes(5))) struct RequestNumberTests {
  private static let ann: UInt32 = 61_001
  private static let ben: UInt32 = 61_002

  private static func serving(_ body: (TestDaemon) async throws -> Void) async throws {
    let model = try LoadedModel(
      path: URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures/goldens/tiny").path)
    let engine = DiffusionEngine(
      model, backend: CPUBackend(threadCount: 1), activations: .int8)
    let limits = EngineLimits(batch: 8, threads: 1, pace: 1)
    try await TestDaemon.serving(
      configuration: .init(limits: limits), makeEngine: { engine },
      body: { daemon async throws in
        try await body(daemon)
        #expect(try await daemon.isAlive)
      })
  }

  private static func edit(
    _ daemon: TestDaemon, _ fields: [(String, String)], uid: UInt32?
  ) async throws -> RawConnection.Answer {
    var form = TestForm()
    form.addFile("image", try PNG.encode(Pixels(width: 8, height: 8, filledWith: .white)))
    for (name, value) in [("prompt", "p"), ("steps", "2")] + fields { form.add(name, value) }
    return try await form.post(to: daemon, uid: uid)
  }

  @Test(arguments: ["1e-60", "1e-40", "4e-324", "0.00099", "1.00000006", "-1e-60", "nan", "inf"])
  func strengthsThatLeaveNoNoiseAreRefused(_ strength: String) async throws {
    try await Self.serving { daemon async throws in
      let answer = try await Self.edit(daemon, [("strength", strength)], uid: nil)
      #expect(answer.status == 400 && answer.code == "invalid_request", "\(answer.body)")
      #expect(answer.body.contains(#""param":"strength""#))
    }
  }

  @Test(arguments: ["0.001", "1", "1.00000000001", "0.3"])
  func theLeastAndTheMostStrengthAreDrawn(_ strength: String) async throws {
    try await Self.serving { daemon async throws in
      let answer = try await Self.edit(daemon, [("strength", strength)], uid: nil)
      #expect(answer.status == 200, "\(answer.body)")
    }
  }

  /// What is 1 in f32 draws without guidance, and the others of its time with theirs.
  @Test(.enabled(if: Impersonation.isPossible))
  func aBatchMateWithHardlyAnyGuidanceHarmsNobody() async throws {
    try await Self.serving { daemon async throws in
      #expect(chmodForAll(daemon.socketPath))
      let fields = #""size":"64x64","steps":3,"seed":4,"provenance":false"#
      let alone = try await daemon.begin("a red apple", fields, uid: Self.ben).answer()
      // Something that the others can wait behind, so that they are drawn in one batch.
      let first = try await daemon.begin("first", #""n":10,"steps":50"#)
      _ = try await daemon.jobs(1, .running)
      var clients: [RawConnection] = []
      for (uid, guidance) in [
        (Self.ann, "1.00000000001"), (Self.ben, "2.5"), (Self.ann, "0.99999999999"),
        (Self.ann, "1"), (Self.ann, "0"), (Self.ann, "5e-324"), (Self.ann, "30"),
      ] {
        clients.append(
          try await daemon.begin("a red apple", fields + #","guidance":\#(guidance)"#, uid: uid))
      }
      for client in clients + [first] {
        let answer = try await client.answer()
        #expect(answer.status == 200, "\(answer.body)")
        let response = try JSONDecoder().decode(
          ImageGenerationResponse.self, from: Data(answer.body.utf8))
        if client === clients[1] {
          let other = try JSONDecoder().decode(
            ImageGenerationResponse.self, from: Data(alone.body.utf8))
          #expect(response.data == other.data, "a batch mate changed the picture")
        }
      }
    }
  }

  @Test func previewsAreOfAnySizeThatAModelHas() async throws {
    try await Self.serving { daemon async throws in
      let answer = try await daemon.begin(
        "p", #""size":"32x32","steps":4,"stream":true,"partial_images":3"#
      ).answer()
      #expect(answer.status == 200 && answer.body.contains("image_generation.completed"))
    }
  }
}
