import BananaAPI

/// A request that must be refused, and how.
struct BadRequest: Sendable {
  let method: String
  let path: String
  let body: [UInt8]?
  let code: ErrorCode

  private init(_ code: ErrorCode, _ method: String, _ path: String, _ body: String? = nil) {
    self.code = code
    self.method = method
    self.path = path
    self.body = body.map { Array($0.utf8) }
  }

  private init(_ code: ErrorCode, _ body: String) {
    self.init(code, "POST", Route.imageGenerations, body)
  }

  static let all: [BadRequest] = [
    .init(.invalidRequest, #"{"prompt": "#),
    .init(.invalidRequest, #"{"prompt": "  "}"#),
    .init(.invalidRequest, #"{"prompt": "a", "colour": "red"}"#),
    .init(.invalidRequest, #"{"prompt": "a", "n": 11}"#),
    .init(.invalidRequest, #"{"prompt": "a", "size": "300"}"#),
    .init(.invalidRequest, #"{"prompt": "a", "partial_images": 2}"#),
    .init(.invalidRequest, #"{"prompt": "a", "guidance": 31}"#),
    .init(.invalidRequest, #"{"prompt": "a", "peels": ["noto", "noto"]}"#),
    .init(.modelNotFound, #"{"prompt": "a", "model": "nothing"}"#),
    .init(.peelNotFound, #"{"prompt": "a", "peels": ["nothing"]}"#),
    .init(.requestTooLarge, #"{"prompt": ""# + String(repeating: "a", count: 1 << 21) + "\"}"),
    .init(.requestTooLarge, #"{"prompt": ""# + String(repeating: "a", count: 5000) + "\"}"),
    .init(.notFound, "GET", "/v2/images"),
    .init(.methodNotAllowed, "DELETE", Route.status),
    .init(.jobNotFound, "GET", Route.jobResult("job-0")),
    .init(.peelNotFound, "DELETE", Route.peel("nothing")),
    .init(.invalidRequest, "POST", Route.peels + "?name=Not%20a%20name", "x"),
    .init(.unsupportedMediaType, "POST", Route.imageEdits, "no form"),
  ]
}
