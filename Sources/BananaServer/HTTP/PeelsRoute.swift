import BananaAPI
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

/// `GET` and `POST /v1/peels`, `GET` and `DELETE /v1/peels/{name}`.
///
/// Who asks through the admin socket sees and changes the peels for all, everybody else what is
/// their own.
extension DaemonRoutes {
  func addPeels(to router: Router<DaemonRequestContext>) {
    let one = RouterPath(Route.peels + "/:name")
    router.get(RouterPath(Route.peels)) { _, context in
      try await Response.json(PeelList(data: peels.list(for: context.peer.peelOwner)))
    }
    router.post(RouterPath(Route.peels)) { try await installPeel($0, $1) }
    router.get(one) { _, context in
      try await answer(peelName(context)) { name throws(PeelRegistryError) in
        try await peels.show(name, for: context.peer.peelOwner)
      }
    }
    router.delete(one) { try await removePeel($0, $1) }
  }

  private func installPeel(_ request: Request, _ context: DaemonRequestContext) async throws
    -> Response
  {
    let name =
      request.uri.queryParameters["name"].map(String.init)
      ?? request.headers[HTTPField.Name("x-peel-name")!]
    guard let name else {
      throw APIError(
        .invalidRequest,
        "The peel has no name. Send its file to \(Route.peels)?name=NAME.", param: "name")
    }
    let recipe = request.uri.queryParameters["recipe"].map(String.init)
    let owner = try context.peer.ownedPeels()
    return try await answer(name, status: .created) { name throws(PeelRegistryError) in
      try await peels.install(
        request.body.map { Array($0.readableBytesView) },
        expectedBytes: request.headers[.contentLength].flatMap { Int($0) },
        as: name, for: owner, recipe: recipe)
    }
  }

  private func removePeel(_ request: Request, _ context: DaemonRequestContext) async throws
    -> Response
  {
    var seconds = 30
    if let text = request.uri.queryParameters["timeout_seconds"] {
      guard let number = Int(text), PeelLimits.removalSeconds.contains(number) else {
        throw APIError(
          .invalidRequest,
          "timeout_seconds must be an integer between 0 and "
            + "\(PeelLimits.removalSeconds.upperBound).", param: "timeout_seconds")
      }
      seconds = number
    }
    let owner = try context.peer.ownedPeels()
    return try await answer(peelName(context)) { [seconds] name throws(PeelRegistryError) in
      try await peels.remove(
        name, of: owner, timeout: .seconds(seconds))
    }
  }

  private func peelName(_ context: DaemonRequestContext) -> String {
    context.parameters.get("name") ?? ""
  }

  private func answer<Value: Encodable & Sendable>(
    _ name: String, status: HTTPResponse.Status = .ok,
    _ body: (String) async throws(PeelRegistryError) -> Value
  ) async throws -> Response {
    let value: Value
    do throws(PeelRegistryError) { value = try await body(name) } catch { throw APIError(error) }
    return try .json(value, status: status)
  }
}

extension Peer {
  /// Whose peels this peer sees beside those for all.
  fileprivate var peelOwner: PeelOwner { isAdmin || isShared ? .everyone : .user(uid) }

  /// Whose peels this peer installs and removes.
  fileprivate func ownedPeels() throws(APIError) -> PeelOwner {
    if isAdmin { return .everyone }
    if isShared { throw notToldApart("there are no private peels", param: nil) }
    return .user(uid)
  }

  /// As whom the peer draws with peels: where nobody is told apart, as nobody.
  var peelUID: UInt32 { isShared ? .max : uid }

  /// What a uid that several users share cannot have.
  func notToldApart(_ consequence: String, param: String?) -> APIError {
    APIError(
      .invalidRequest,
      "bananad cannot tell you from others that come with your uid \(uid), so \(consequence). Run "
        + "bananad where every user has a uid, or ask an administrator.", param: param)
  }
}
