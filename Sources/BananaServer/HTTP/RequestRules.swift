package import BananaAPI
package import NIOHTTP1
package import Serving

/// What a request's head alone decides: whether the request is read on, and how much of it.
package struct RequestRules: Sendable, Equatable {
  /// The body may have so many bytes; nil when none is read and what comes is thrown away.
  package private(set) var bodyLimit: Int?
  /// What to say when it has more.
  package private(set) var tooLarge: APIError?
  /// What the head says; nil when the body's end will say it.
  package private(set) var bodyBytes: Int?
  /// Bytes of the body that are in memory at a time, at most.
  package private(set) var heldLimit = Int.max

  /// Bytes of an upload that are on their way to the disk.
  private static let uploadWindow = 1 << 20
  private static let longestPath = 1024
  private static let methods: [HTTPMethod] = [.GET, .HEAD, .POST, .DELETE]

  /// - Parameter editBodyBytes: The largest body of an edit.
  package init(_ head: HTTPRequestHead, editBodyBytes: Int) throws(RequestRefusal) {
    do throws(APIError) { try HostRules.check(head) } catch { throw RequestRefusal(error: error) }
    let path = Self.path(of: head)
    // None that is served is as long: what looks at it further need not bound its work.
    guard path.utf8.count <= Self.longestPath else {
      throw RequestRefusal(
        error: APIError(.notFound, "The path \(path.cut(128))… is longer than any here."))
    }
    guard Self.methods.contains(head.method) else {
      throw Self.unrouted(head.method.rawValue, path)
    }
    guard head.method == .POST else { return }
    do throws(APIError) {
      switch Self.route(of: path) {
      case Route.imageGenerations:
        try Self.require(["application/json"], head.headers, "application/json")
        let limit = ImageGenerationRequest.Limits.bodyBytes
        setLimit(limit, APIError.bodyTooLarge(limit, "Shorten it."))
      case Route.imageEdits:
        try Self.require(
          ["multipart/form-data"], head.headers, "multipart/form-data with a boundary")
        setLimit(editBodyBytes, APIError.bodyTooLarge(editBodyBytes, "Send smaller pictures."))
      case Route.peels:
        try Self.refuseForms(head.headers)
        heldLimit = Self.uploadWindow
        let limit = PeelLimits.fileBytes
        setLimit(limit, APIError(PeelRegistryError.tooLarge(maximumBytes: limit)))
      default: return
      }
      try checkBody(head.headers)
    } catch { throw RequestRefusal(error: error) }
  }

  private mutating func setLimit(_ limit: Int, _ error: APIError) {
    bodyLimit = limit
    tooLarge = error
  }

  private mutating func checkBody(_ headers: HTTPHeaders) throws(APIError) {
    for coding in headers[canonicalForm: "content-encoding"] where coding != "identity" {
      throw APIError(
        .unsupportedMediaType,
        "The body is compressed (\(coding.cut(32))). Send it without a Content-Encoding.")
    }
    for coding in headers[canonicalForm: "transfer-encoding"]
    where coding.lowercased() != "chunked" {
      throw APIError(
        .unsupportedMediaType,
        "The body has the Transfer-Encoding \(coding.cut(32)). Only chunked is understood.")
    }
    // Checked by the parser: it is one number.
    guard let length = headers.first(name: "content-length").flatMap({ Int($0) }) else { return }
    if let bodyLimit, let tooLarge, length > bodyLimit { throw tooLarge }
    bodyBytes = length
  }

  private static func require(
    _ types: Set<String>, _ headers: HTTPHeaders, _ wanted: String
  ) throws(APIError) {
    // A client that says nothing sends what is asked for; a browser's page always says something.
    guard let text = headers.first(name: "content-type") else {
      if types.contains("application/json") { return }
      throw wrongType("nothing", wanted)
    }
    let type = HeaderParameters(text)
    let charset = type["charset"]?.lowercased() ?? "utf-8"
    guard types.contains(type.value), headers["content-type"].count == 1,
      charset == "utf-8" || charset == "us-ascii"
    else { throw wrongType(text, wanted) }
  }

  private static func refuseForms(_ headers: HTTPHeaders) throws(APIError) {
    guard let text = headers.first(name: "content-type"),
      HeaderParameters(text).value == "multipart/form-data"
    else { return }
    throw wrongType(text, "the file itself as application/octet-stream")
  }

  private static func wrongType(_ type: String, _ wanted: String) -> APIError {
    APIError(
      .unsupportedMediaType, "The Content-Type is \"\(type.cut(128))\". Send \(wanted).")
  }

  /// A path without what the router does not see: slashes that are one too many.
  private static func route(of path: String) -> String {
    "/" + path.split(separator: "/").joined(separator: "/")
  }

  /// The path that is asked for, without its query.
  private static func path(of head: HTTPRequestHead) -> String {
    var target = head.uri[...]
    if let authority = HostRules.authority(of: target) {
      target = target[authority.endIndex...]
    }
    let end = target.utf8.firstIndex { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }
    return String(target[..<(end ?? target.endIndex)])
  }

  /// The refusal of what no route serves.
  package static func unrouted(_ method: String, _ path: String) -> RequestRefusal {
    guard let served = Route.served.first(where: { $0.matches(path) }) else {
      return RequestRefusal(
        error: APIError(
          .notFound,
          "There is no \(path.cut(128)). "
            + (PathHints.hint(for: path).map { "\($0) " } ?? "") + "The paths are: "
            + Route.served.map(\.path).joined(separator: ", ") + "."))
    }
    let error = APIError(
      .methodNotAllowed,
      "\(path.cut(128)) is served with \(served.methods.joined(separator: " and ")), not "
        + "\(method.cut(32)).")
    return RequestRefusal(
      error: error, allow: served.methods.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] })
  }
}

extension APIError {
  static func bodyTooLarge(_ limit: Int, _ advice: String) -> APIError {
    APIError(.requestTooLarge, "The body is larger than \(limit) bytes. \(advice)")
  }
}
