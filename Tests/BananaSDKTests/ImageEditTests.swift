import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import NIOCore
import Serving
import Testing

@testable import BananaSDK

@Suite(.timeLimit(.minutes(5))) struct ImageEditTests {
  @Test func writesTheFormOfOpenAIsClients() throws {
    var request = ImageGenerationRequest(prompt: "ä\r\n--b", count: 2, seed: 7)
    request.peels = [PeelReference(name: "a", strength: 0.5)]
    (request.strictSize, request.clipSkip) = (true, 2)
    let edit = ImageEdit(request, image: Data([1, 2]), mask: Data([3]), strength: 0.25)
    let body = try edit.body()
    let boundary = try #require(body.contentType.split(separator: "boundary=").last)
    let text = String(buffer: body.bytes)
    let parts = text.split(separator: "--\(boundary)", omittingEmptySubsequences: false)
    #expect(parts.first == "" && parts.last == "--\r\n")
    func part(_ name: String, _ value: String) -> Substring {
      "\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }
    let named = Set(parts)
    #expect(named.contains(part("prompt", "ä\r\n--b")))
    #expect(named.contains(part("n", "2")) && named.contains(part("seed", "7")))
    #expect(named.contains(part("strength", "0.25")))
    #expect(named.contains(part("strict_size", "true")))
    #expect(named.contains(part("clip_skip", "2")))
    #expect(named.contains { $0.contains("name=\"peels\"\r\n\r\n[{") })
    #expect(
      named.contains(
        "\r\nContent-Disposition: form-data; name=\"image\"; filename=\"image.png\"\r\n"
          + "Content-Type: image/png\r\n\r\n\u{1}\u{2}\r\n"))
    #expect(!text.contains("name=\"style\""))
  }

  @Test func changesAPicture() async throws {
    let engine = FakeEngine(drawsPixels: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let client = BananaClient(socketPath: daemon.socketPath)
      let request = ImageGenerationRequest(prompt: "p", size: "256x256", seed: 7)
      let image = try await client.generate(request).data[0].png
      let plain = try await client.edit(ImageEdit(request, image: image, strength: 0.5))
      #expect(plain.data.count == 1)
      var other = ImageGenerationRequest(prompt: "p", size: "1024x1024", seed: 7)
      other.responseFormat = "url"
      let nearest = try await client.generate(other)
      #expect(nearest.size == "512x512" && nearest.data[0].isURL)
      #expect(Array(nearest.data[0].png.prefix(8)) == TestPattern.signature)
      other.strictSize = true
      await #expect(throws: BananaError.self) { try await client.generate(other) }
      var pictures = 0
      for try await event in client.events(editing: ImageEdit(request, image: image, mask: image)) {
        if case .completed = event { pictures += 1 }
      }
      #expect(pictures == 1)
      let edits = engine.record.requests.filter(\.isEdit)
      #expect(edits.map(\.strength) == [0.5, 1])
      #expect(edits.map { $0.images.map(\.role) } == [[.source], [.source, .mask]])
      let error = await #expect(throws: BananaError.self) {
        try await client.edit(ImageEdit(request, image: Data([1])))
      }
      #expect(error?.code == .invalidRequest)
    }
  }
}
