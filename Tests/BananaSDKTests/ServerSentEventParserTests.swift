import Testing

@testable import BananaSDK

@Suite struct ServerSentEventParserTests {
  private let stream =
    "event: a\ndata: {\"x\":1}\n\n: comment\n\ndata:two\ndata: lines\r\n\r\nevent: none\n\n"

  private let expected = [
    ServerSentEvent(name: "a", data: Array("{\"x\":1}".utf8)),
    ServerSentEvent(name: "", data: Array("two\nlines".utf8)),
  ]

  @Test func findsTheEvents() {
    var parser = ServerSentEventParser()
    #expect(parser.append(stream.utf8) == expected)
  }

  @Test func emptyLinesOfDataCount() {
    var parser = ServerSentEventParser()
    #expect(
      parser.append("data\n\ndata:\ndata: x\n\n".utf8) == [
        ServerSentEvent(name: "", data: []), ServerSentEvent(name: "", data: Array("\nx".utf8)),
      ])
  }

  @Test func doesNotCareWhereTheBytesAreCut() {
    let bytes = Array(stream.utf8)
    for cut in bytes.indices {
      var parser = ServerSentEventParser()
      #expect(parser.append(bytes[..<cut]) + parser.append(bytes[cut...]) == expected)
    }
  }
}
