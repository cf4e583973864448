import BananaAPI
import BananaServer
import NIOHTTP1
import Serving
import Testing

/// What a request's head decides.
@Suite struct RequestRulesTests {
  private func refusal(_ method: HTTPMethod, _ uri: String, _ lines: [(String, String)])
    -> ErrorCode?
  {
    let head = HTTPRequestHead(
      version: .http1_1, method: method, uri: uri, headers: HTTPHeaders(lines))
    do throws(RequestRefusal) {
      _ = try RequestRules(head, editBodyBytes: 1000)
      return nil
    } catch { return error.error.code }
  }

  @Test(arguments: [
    "localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.0.0.1:80", "192.168.1.7:80",
    "[::1]", "[::1]:80", "x", "", "board.local", "host.docker.internal:8080", "a.localhost",
    "localhost.", "%2Frun%2Fbanana%2Fbanana.sock", "banana.sock", "board.home.arpa", "my_board",
  ])
  func takesHostsOfThisMachine(_ host: String) {
    #expect(refusal(.GET, "/healthz", [("Host", host)]) == nil)
    #expect(refusal(.GET, "/healthz", [("Host", host), ("Origin", "http://\(host)")]) == nil)
    if !host.isEmpty {
      #expect(refusal(.GET, "http://\(host)/healthz", [("Host", host)]) == nil)
    }
  }

  @Test(arguments: [
    "evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "a.b",
    "evil.example.", "local.com", "notlocalhost.com",
  ])
  func refusesHostsOfOthers(_ host: String) {
    #expect(refusal(.GET, "/healthz", [("Host", host)]) == .forbidden)
    #expect(refusal(.GET, "http://\(host)/healthz", [("Host", "localhost")]) == .forbidden)
    #expect(
      refusal(.GET, "/healthz", [("Host", "localhost"), ("Origin", "http://\(host)")])
        == .forbidden)
  }

  @Test func refusesHeadsThatAreWrong() {
    let host = ("Host", "localhost")
    for host in ["a b", "me@localhost", "local\"host", "lo\tcal", "ä", "a/b", "x,y"] {
      #expect(refusal(.GET, "/healthz", [("Host", host)]) == .invalidRequest, "\(host)")
    }
    #expect(refusal(.GET, "/healthz", []) == .invalidRequest)
    #expect(refusal(.GET, "/healthz", [host, host]) == .invalidRequest)
    for origin in ["null", "https://evil.example", "http://localhost:3000", "file://", ""] {
      #expect(refusal(.POST, Route.peels, [host, ("Origin", origin)]) == .forbidden, "\(origin)")
    }
    for site in ["cross-site", "same-site", "x"] {
      #expect(refusal(.GET, "/healthz", [host, ("Sec-Fetch-Site", site)]) == .forbidden)
    }
    for site in ["same-origin", "none"] {
      #expect(refusal(.GET, "/healthz", [host, ("Sec-Fetch-Site", site)]) == nil)
    }
  }

  @Test func takesBodiesOfTheRightKind() {
    let json = Route.imageGenerations
    let cases: [(String, String, ErrorCode?)] = [
      (json, "application/json", nil), (json, "application/json; charset=utf-8", nil),
      (json, "Application/JSON;charset=\"UTF-8\"", nil),
      (json, "application/json; charset=utf-16", .unsupportedMediaType),
      (json, "text/plain", .unsupportedMediaType), (json, "", .unsupportedMediaType),
      (json, "application/x-www-form-urlencoded", .unsupportedMediaType),
      (json, "multipart/form-data; boundary=x", .unsupportedMediaType),
      (json, "application/jsonp", .unsupportedMediaType),
      (Route.imageEdits, "multipart/form-data; boundary=x", nil),
      (Route.imageEdits, "application/json", .unsupportedMediaType),
      (Route.peels, "application/octet-stream", nil),
      (Route.peels, "application/x-www-form-urlencoded", nil),
      (Route.peels, "multipart/form-data; boundary=x", .unsupportedMediaType),
    ]
    for (path, type, code) in cases {
      let lines = [("Host", "x"), ("Content-Type", type)]
      #expect(refusal(.POST, path, lines) == code, "\(path) \(type)")
      #expect(refusal(.POST, path + "?name=a", lines) == code, "\(path) \(type)")
    }
    #expect(refusal(.POST, json, [("Host", "x")]) == nil)
    #expect(refusal(.POST, Route.imageEdits, [("Host", "x")]) == .unsupportedMediaType)
    for (name, value) in [
      ("Content-Encoding", "gzip"), ("Content-Encoding", "identity, br"),
      ("Transfer-Encoding", "gzip, chunked"),
    ] {
      for path in [json, Route.imageEdits, Route.peels] {
        let type = path == Route.imageEdits ? "multipart/form-data; boundary=x" : "application/json"
        let lines = [("Host", "x"), ("Content-Type", type), (name, value)]
        #expect(refusal(.POST, path, lines) == .unsupportedMediaType, "\(path) \(value)")
      }
    }
    #expect(
      refusal(.POST, json, [("Host", "x"), ("Content-Length", "1048577")]) == .requestTooLarge)
  }
}
