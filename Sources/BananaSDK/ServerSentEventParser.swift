import FoundationEssentials

/// One event of a `text/event-stream`.
package struct ServerSentEvent: Equatable {
  package var name: String
  package var data: [UInt8]

  /// Reads the event's data as JSON.
  package func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(data))
    } catch {
      throw BananaError.unexpectedAnswer(httpStatus: 200, reason: "event \(name): \(error)")
    }
  }
}

/// Cuts the bytes of a `text/event-stream` into events (HTML standard, 9.2.6; lines end in LF or
/// CRLF).
package struct ServerSentEventParser {
  private var line: [UInt8] = []
  private var name = ""
  private var data: [UInt8] = []

  package init() {}

  /// Takes the stream's next bytes and returns the events that they complete.
  package mutating func append(_ bytes: some Sequence<UInt8>) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for byte in bytes {
      guard byte == UInt8(ascii: "\n") else {
        line.append(byte)
        continue
      }
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if line.isEmpty {
        // Each of the data's lines has left a newline; the last one is no part of it.
        if data.popLast() != nil { events.append(ServerSentEvent(name: name, data: data)) }
        name = ""
        data = []
      } else {
        endField()
        line.removeAll(keepingCapacity: true)
      }
    }
    return events
  }

  private mutating func endField() {
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    var value = line[colon...].dropFirst()
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "event": name = String(decoding: value, as: UTF8.self)
    case "data":
      data.append(contentsOf: value)
      data.append(UInt8(ascii: "\n"))
    default: break
    }
  }
}
