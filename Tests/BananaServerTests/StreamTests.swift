import BananaAPI
import BananaTesting
import FoundationEssentials
import Serving
import Testing

/// Answers as server-sent events.
@Suite(.timeLimit(.minutes(5))) struct StreamTests {
  private struct Event {
    var name: String
    var data: Data

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
      try JSONDecoder().decode(type, from: data)
    }
  }

  /// The events in an answer whose body may come in chunks.
  private static func events(in body: String) -> [Event] {
    let lines = body.split(whereSeparator: \.isNewline)
    return zip(lines, lines.dropFirst()).compactMap { line, next in
      guard line.hasPrefix("event: "), next.hasPrefix("data: ") else { return nil }
      return Event(name: String(line.dropFirst(7)), data: Data(next.dropFirst(6).utf8))
    }
  }

  @Test(arguments: 0...3)
  func sendsPreviewsAsOpenAIDoes(_ count: Int) async throws {
    try await TestDaemon.serving { daemon async throws in
      let fields = #""stream":true,"n":2,"steps":8,"seed":5,"partial_images":\#(count)"#
      let answer = try await daemon.begin("p", fields).answer()
      #expect(answer.headers["content-type"] == "text/event-stream")
      let events = Self.events(in: answer.body)
      let previews = try events.filter { $0.name == "image_generation.partial_image" }
        .map { try $0.decode(PartialImage.self) }
      #expect(previews.map(\.partialImageIndex) == Array(0..<count) + Array(0..<count))
      #expect(
        previews.map(\.index)
          == [Int](repeating: 0, count: count) + [Int](repeating: 1, count: count))
      for preview in previews {
        #expect(preview.type == "image_generation.partial_image")
        #expect(Array(preview.png.prefix(8)) == TestPattern.signature)
        #expect(preview.size == "512x512" && preview.outputFormat == "png")
      }
      let completed = try events.suffix(2).map { try $0.decode(ImageCompleted.self) }
      #expect(completed.map(\.seed) == [5, 6])
      #expect(completed.allSatisfy { $0.type == "image_generation.completed" && $0.job != nil })
    }
  }

  @Test func saysHowManyJobsAreAhead() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let first = try await daemon.begin("first")
      #expect(await eventually { engine.record.requests.count == 1 })
      let second = try await daemon.begin("second", #""steps":2"#)
      _ = try await daemon.jobs(1, .waiting)
      let third = try await daemon.begin("third", #""stream":true"#)
      _ = try await daemon.jobs(2, .waiting)
      second.hangUp()
      _ = try await daemon.jobs(1, .waiting)
      engine.release()
      #expect(try await first.answer().status == 200)
      let events = Self.events(in: try await third.answer().body)
      let queued = try events.filter { $0.name == "banana.progress" }
        .map { try $0.decode(GenerationProgress.self) }.filter { $0.stage == .queued }
      #expect(queued.map(\.step) == [2, 1])
      #expect(queued.allSatisfy { $0.job != nil })
    }
  }
}
