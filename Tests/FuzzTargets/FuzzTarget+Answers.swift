import BananaAPI
import BananaSDK
import FoundationEssentials

/// What the client reads from the daemon's socket.
extension FuzzTarget {
  static func events(_ input: [UInt8]) throws(Violation) {
    guard let seed = input.first else { return }
    let stream = Array(input.dropFirst())
    var parser = ServerSentEventParser()
    let events = parser.append(stream)
    var other = ServerSentEventParser()
    let inPieces = stream.pieces(seed).flatMap { other.append($0) }
    try expect(events == inPieces, "pieces give other events")
    try expect(
      events.reduce(0) { $0 + $1.data.count } <= stream.count, "more events than bytes")
    for event in events { try decode(event) }
    var again = ServerSentEventParser()
    try expect(
      again.append(events.flatMap(Self.written)) == events, "events are not read as written")
  }

  private static func written(_ event: ServerSentEvent) -> [UInt8] {
    let lines = event.data.split(separator: 10, omittingEmptySubsequences: false)
    return Array("event: \(event.name)\r\n".utf8)
      + lines.flatMap { Array("data: ".utf8) + $0 + [13, 10] } + [13, 10]
  }

  private static func decode(_ event: ServerSentEvent) throws(Violation) {
    do {
      switch event.name {
      case StreamEventName.progress: _ = try event.decode(GenerationProgress.self)
      case StreamEventName.partialImage: _ = try event.decode(PartialImage.self)
      case StreamEventName.completed:
        let picture = try event.decode(ImageCompleted.self)
        try expect(
          ImageGenerationResponse(events: [picture])?.data.first?.png == picture.png, "a picture")
      default: _ = try event.decode(ErrorBody.self)
      }
    } catch let error as Violation {
      throw error
    } catch {
      guard let error = error as? BananaError else {
        throw Violation(description: "an error that is none of the client's: \(error)")
      }
      try expect(!error.description.isEmpty, "an error without a text")
    }
  }

  static func answer(_ input: [UInt8]) throws(Violation) {
    let json = Data(input)
    try read(ImageGenerationResponse.self, json)
    try read(APIError.self, json)
    try read(ModelList.self, json)
    try read(JobList.self, json)
    try read(PeelList.self, json)
    try read(PeelInfo.self, json)
    try read(PeelRemoval.self, json)
    try read(DaemonStatus.self, json)
  }

  /// Reads an answer; what is written again reads the same.
  private static func read<Answer: Codable & Equatable>(
    _ type: Answer.Type, _ json: Data
  ) throws(Violation) {
    guard let answer = try? JSONDecoder().decode(type, from: json) else { return }
    guard let written = try? JSONEncoder().encode(answer) else {
      throw Violation(description: "\(type) cannot be written")
    }
    let again = try? JSONDecoder().decode(type, from: written)
    try expect(again == answer, "\(type) is not read as it was written")
  }
}
